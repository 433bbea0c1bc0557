"""Checkers that hold the answer key: maths by equivalence, code by its tests in a sandbox."""

from tutelage.verifiers.code import Code, CodeVerifier
from tutelage.verifiers.contract import Verifier, VerifierSpec
from tutelage.verifiers.keys import CodeKey, names_taken
from tutelage.verifiers.maths import Maths, MathsVerifier
from tutelage.verifiers.outcomes import Outcome
from tutelage.verifiers.remote import Remote, RemoteVerifier
from tutelage.verifiers.sandbox import Limits, NoSandbox

__all__ = [
    "Code",
    "CodeKey",
    "CodeVerifier",
    "Limits",
    "Maths",
    "MathsVerifier",
    "NoSandbox",
    "Outcome",
    "Remote",
    "RemoteVerifier",
    "Verifier",
    "VerifierSpec",
    "names_taken",
]
