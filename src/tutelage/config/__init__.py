"""Runs as data: frozen dataclasses to plain trees and YAML, overrides from a command line, and back.

This package knows no nouns: it works on any tree of frozen dataclasses, tuples, mappings and scalars.
"""

from tutelage.config.annotations import Plain
from tutelage.config.describe import NOT_SET, Difference, Setting, difference, fingerprint, reference
from tutelage.config.errors import ConfigError, NoSuchSetting
from tutelage.config.overrides import apply, parse_arguments, with_settings
from tutelage.config.reading import from_plain
from tutelage.config.writing import to_plain
from tutelage.config.yaml_text import dump_yaml, load_yaml, parse_yaml

__all__ = [
    "NOT_SET",
    "ConfigError",
    "Difference",
    "NoSuchSetting",
    "Plain",
    "Setting",
    "apply",
    "difference",
    "dump_yaml",
    "fingerprint",
    "from_plain",
    "load_yaml",
    "parse_arguments",
    "parse_yaml",
    "reference",
    "to_plain",
    "with_settings",
]
