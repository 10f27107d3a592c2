from typing import final

from typing_extensions import Self

from spyderresp.decision._spec import IndexSpec

class Postings:
    """Policies and entries by what they ask for."""

    def __new__(cls, texts: list[int], globs: list[int]) -> Self: ...

class ProgramBuilder:
    """The policies of an index as numbers."""

    def __new__(cls, spec: IndexSpec) -> Self: ...
    @property
    def policy_count(self) -> int: ...
    @property
    def entry_count(self) -> int: ...
    @property
    def attribute_count(self) -> int: ...
    @property
    def predicate_count(self) -> int: ...
    @property
    def selector_count(self) -> int: ...
    @property
    def post_count(self) -> int:
        """Places where a policy is posted, all together."""
    @property
    def memory(self) -> int:
        """Bytes of the tables."""
    def policy_selector(self, policy: int, place: int) -> int:
        """Return the number of a policy's selector, by its place among the policy's own."""
    def entry_selector(self, entry: int, place: int) -> int:
        """Return the number of an entry's selector, by its place among the entry's own."""
    def selector_predicate(self, selector: int, place: int) -> int:
        """Return the number of a selector's predicate, by the place of its clause."""
    def longest_row(self) -> int:
        """Return the most policies that one value, glob or scope leads to."""

@final
class Program(ProgramBuilder):
    """The decision over an assembly, for the native modules beside this one."""
