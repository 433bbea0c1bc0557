"""Checkers that hold the answer key: maths by equivalence, code by its tests in a sandbox."""

from tutelage.verifiers.contract import Verifier, VerifierSpec

__all__ = ["Verifier", "VerifierSpec"]
