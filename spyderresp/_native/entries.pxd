# The entries of a dict where they lie. PyDict_Next() asks anew for each entry what kind of table it is in, which for an
# event costs more than all else that reading it takes.
#
# CPython's own header says how a table is laid out, for the version that this is compiled for; where there is none, and
# where entries_agree() finds at import that this interpreter keeps dicts otherwise, PyDict_Next() is used.
# tests/native/test_entries.py holds both ways equal.

from cpython.object cimport PyObject

cdef extern from *:
    """
    #if defined(CYTHON_COMPILING_IN_CPYTHON) && CYTHON_COMPILING_IN_CPYTHON && !defined(Py_GIL_DISABLED) \\
        && PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030E0000
    #ifndef Py_BUILD_CORE
    #define Py_BUILD_CORE 1
    #endif
    /* A macro of 3.12 that its own internal headers define as a function. */
    #undef _PyGC_FINALIZED
    #if defined(__GNUC__)
    #pragma GCC diagnostic push
    #pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    #endif
    #include "internal/pycore_dict.h"
    #if defined(__GNUC__)
    #pragma GCC diagnostic pop
    #endif
    typedef PyDictUnicodeEntry spyderresp_entry;
    static Py_ssize_t spyderresp_entries(PyObject* mapping, spyderresp_entry** first) {
        PyDictKeysObject* keys = ((PyDictObject*)mapping)->ma_keys;
        if (keys->dk_kind != DICT_KEYS_UNICODE || ((PyDictObject*)mapping)->ma_values != NULL) return -1;
        *first = (spyderresp_entry*)(keys->dk_indices + ((size_t)1 << keys->dk_log2_index_bytes));
        return keys->dk_nentries;
    }
    #else
    typedef struct { PyObject *me_key; PyObject *me_value; } spyderresp_entry;
    #define spyderresp_entries(mapping, first) ((Py_ssize_t)-1)
    #endif
    """
    ctypedef struct DictEntry "spyderresp_entry":
        PyObject* me_key
        PyObject* me_value    # NULL where the entry was deleted
    # How many entries there are, deleted ones too, and the first; -1 where the table must be walked otherwise. All keys
    # are exact strs.
    Py_ssize_t entries_of "spyderresp_entries"(PyObject* mapping, DictEntry** first) noexcept
