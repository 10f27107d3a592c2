# Asks for memory that is going to be read, so that several misses are waited for at once. It may be any address.

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define spyderresp_prefetch(address) __builtin_prefetch((const char*)(address))
    #else
    #define spyderresp_prefetch(address)
    #endif
    """
    void prefetch "spyderresp_prefetch"(const void* address) noexcept nogil
