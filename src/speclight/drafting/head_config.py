"""A head's config.json, read key by key, so that a key which nobody asked for can be refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from speclight.drafting.head_files import CONFIG_NAME
from speclight.errors import CorruptWeights, InvalidInput


class HeadConfig:
    """One object of the config. Keys that are null count as absent.

    values: of the object. place: what errors call it.
    """

    def __init__(self, values: Mapping[str, object], place: str = CONFIG_NAME) -> None:
        self._values = {key: value for key, value in values.items() if value is not None}
        self._place = place
        self._asked: set[str] = set()
        self._sections: dict[str, HeadConfig] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def get(self, key: str) -> object:
        """The value as it stands, None if there is none."""
        self._asked.add(key)
        return self._values.get(key)

    def size(self, key: str, default: int | None = None) -> int:
        """A whole number. Raises CorruptWeights for anything else, a missing key without default included."""
        value = self.get(key)
        if value is None:
            value = default
        if not isinstance(value, int) or isinstance(value, bool):
            raise CorruptWeights(f"{key} in {self._place} is {value!r}, expected a whole number; repair it")
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        """True or false. Raises CorruptWeights for anything else."""
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise CorruptWeights(f"{key} in {self._place} is {value!r}, expected true or false; repair it")
        return value

    def numbers(self, key: str) -> tuple[int, ...] | None:
        """A list of whole numbers, None if missing or empty. Raises CorruptWeights for anything else."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(type(number) is int for number in value):
            raise CorruptWeights(
                f"{key} in {self._place} is {value!r}, expected a list of layer numbers; repair it"
            )
        return tuple(value) or None

    def section(self, key: str) -> HeadConfig | None:
        """An object within this one, None if there is none. Raises CorruptWeights for anything else."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise CorruptWeights(f"{key} in {self._place} is {value!r}, expected an object; repair it")
        if key not in self._sections:
            self._sections[key] = HeadConfig(value, f"{key} of {self._place}")
        return self._sections[key]

    def check_all_used(self, irrelevant: Collection[str], neutral: Mapping[str, Collection[object]]) -> None:
        """Refuse keys that nobody asked for, here and in every section asked for.

        irrelevant: keys without effect on what a head computes. neutral: keys with the values that have none.
        Raises InvalidInput, naming the key.
        """
        for key, value in self._values.items():
            if key in self._asked or key in irrelevant:
                continue
            if key not in neutral:
                raise InvalidInput(
                    f"{self._place} says {key} = {value!r:.80}, which is neither read nor known to change "
                    "nothing; expected a head of a kind that is read: if the key has no effect on what the "
                    "head computes, delete it from the file"
                )
            if value not in neutral[key]:
                raise InvalidInput(
                    f"{self._place} says {key} = {value!r:.80}, expected "
                    f"{' or '.join(map(repr, neutral[key]))}: heads of another kind are not read"
                )
        for section in self._sections.values():
            section.check_all_used(irrelevant, neutral)
