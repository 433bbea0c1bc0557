"""The commands of the command line, one module each; ``cli`` reads their arguments and imports them when called."""
