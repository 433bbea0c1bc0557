"""What studies of this world begin with: a small model's shape, and the tokenizer as a folder."""

from dataclasses import dataclass
from pathlib import Path

from tutelage.codec import Tokenizer
from tutelage.weights import FromConfig
from tutelage.worlds.signed_sum.world import SignedSumWorld

TOKENIZER = Tokenizer("@tokenizer/tokenizer")
"""Of a study with a job ``tokenizer`` that is a ``WriteSumTokenizer``."""
MODEL = FromConfig(
    "llama",
    {
        "hidden_size": 64,
        "intermediate_size": 176,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        # Ten turns of the default world.
        "max_position_embeddings": 128,
        "tie_word_embeddings": False,
    },
)
"""155,072 parameters: enough to search among the signs of four numbers, and not enough to do it well."""


@dataclass(frozen=True, slots=True)
class WriteSumTokenizer:
    """Write the world's tokenizer, so that every run of the study loads the same folder."""

    world: SignedSumWorld

    def execute(self, directory: Path, study: Path) -> bool:
        """Write ``tokenizer/``."""
        self.world.write_tokenizer(directory / "tokenizer")
        return True
