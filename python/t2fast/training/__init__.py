"""Training small models: a corpus, a shape and a recipe in, a Hugging Face folder out.

    tokenizer = train_tokenizer(read_documents(["corpus.jsonl"]))
    corpus = Corpus.of(cut(tokenizer, read_documents(["corpus.jsonl"])))
    shape = Shape("open_lm", width=64, layers=2, heads=2, vocab=512)
    train(corpus, tokenizer.to_str(), shape, Recipe(n_tokens=1e6), "model")

What comes out loads in `t2fast.decode` and, but for OpenLM's, in transformers.
"""

from t2fast.training.corpus import Corpus
from t2fast.training.documents import documents, generate_corpus
from t2fast.training.recipe import Recipe
from t2fast.training.shape import FAMILIES, Shape
from t2fast.training.tokens import cut, read_documents, train_tokenizer
from t2fast.training.trainer import Trained, train
from t2fast.training.tuning import Tuning, fine_tune

__all__ = [
    "FAMILIES",
    "Corpus",
    "Recipe",
    "Shape",
    "Trained",
    "Tuning",
    "cut",
    "documents",
    "fine_tune",
    "generate_corpus",
    "read_documents",
    "train",
    "train_tokenizer",
]
