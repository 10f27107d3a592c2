from typing import final

from spyderresp._native.assembly import Assembly

@final
class Program(Assembly):
    """The decision over an assembly, for the native modules beside this one."""
