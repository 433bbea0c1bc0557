"""How a command ends other than well."""


class UsageError(ValueError):
    """The words of the command line do not make sense: exit code 2."""
