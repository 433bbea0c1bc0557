"""How a command ends other than well."""


class UsageError(ValueError):
    """The words of the command line do not make sense: exit code 2."""


class Interrupted(BaseException):
    """A signal asked the command to end: exit code 128 + its number."""

    def __init__(self, number: int, told: str = "") -> None:
        super().__init__(number, told)
        self.number = number
        self.told = told
        """What was saved, for the user."""
