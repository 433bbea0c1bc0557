"""What studies of this world begin with: a small model's shape, and the tokenizer as a folder."""

from dataclasses import dataclass
from pathlib import Path

from tutelage.codec import Tokenizer
from tutelage.weights import FromConfig
from tutelage.worlds.steps.world import StepsWorld

TOKENIZER = Tokenizer("@tokenizer/tokenizer")
"""Of a study with a job ``tokenizer`` that is a ``WriteStepsTokenizer``."""
MODEL = FromConfig(
    "llama",
    {
        "hidden_size": 64,
        "intermediate_size": 176,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
        "tie_word_embeddings": False,
    },
)
"""Three layers: enough for one step of a chain at a time or two, and not for several."""


@dataclass(frozen=True, slots=True)
class WriteStepsTokenizer:
    """Write the world's tokenizer, so that every run of the study loads the same folder."""

    world: StepsWorld

    def execute(self, directory: Path, study: Path) -> bool:
        """Write ``tokenizer/``."""
        self.world.write_tokenizer(directory / "tokenizer")
        return True
