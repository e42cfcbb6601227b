"""The exception family.

Every message says what was got, what was expected, and what to do.
"""


class SpeclightError(Exception):
    """Base of every error that speclight raises on purpose.

    argument: the library's name of the argument that would help, where one does; the command line shows its
    flag beside the message.
    """

    def __init__(self, message: str, argument: str | None = None) -> None:
        super().__init__(message)
        self.argument = argument


class InvalidInput(SpeclightError, ValueError):
    """A value handed in by the caller is outside its range or malformed."""


class ModelNotFound(SpeclightError):
    """No weights were found under the name given."""


class CorruptWeights(SpeclightError):
    """Weights were found, but they are not what they claim to be (hash, keys, shapes, dtype)."""


class VocabularyMismatch(SpeclightError):
    """Drafter and target do not speak the same tokens and no map between them was given."""


class ContextOverflow(SpeclightError):
    """The text, or the text with its draft, does not fit into the model's context window."""


class BrokenModelOutput(SpeclightError):
    """A model returned numbers that are no probabilities (NaN, all minus infinity)."""


class StorageError(SpeclightError):
    """A record could not be written or read back (disk full, damaged file, changed plan)."""


class EngineError(SpeclightError):
    """An inference server could not be reached, refused a request, or answered what cannot be used."""
