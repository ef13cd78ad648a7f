"""Tables of measurements, read from any file or dataframe and checked once: counts, likelihoods, losses,
accuracies, prices.

Everything behind the readers may rely on what they checked. Nothing is dropped or repaired in silence: a
row that cannot be used is an error that names it, and what the caller's choices left out is on the result.

A table's columns go by the names below. The caller may map others (`columns={"problem": "question"}`), and
where a name is absent one of these is taken in its place, if only one of them is there: `problem_id`,
`question_id` for `problem`; `num_samples`, `num_correct` for `n_samples`, `n_correct`; `is_correct`,
`passed` for `correct`; `num_params` for `n_params`; `train_tokens`, `training_tokens` for `n_tokens`;
`probability` for `p`; `loglikelihood` for `log_likelihood`. In JSON Lines a column must occur within the
first 10,000 lines to be seen.
"""

from t2fast.tables.accuracies import Accuracies, read_accuracies
from t2fast.tables.counts import Counts, read_counts
from t2fast.tables.likelihoods import Likelihoods, read_likelihoods
from t2fast.tables.losses import Losses, read_losses
from t2fast.tables.prices import Prices, read_prices
from t2fast.tables.reading import LeftOut
from t2fast.tables.sources import TableSource

__all__ = [
    "Accuracies",
    "Counts",
    "LeftOut",
    "Likelihoods",
    "Losses",
    "Prices",
    "TableSource",
    "read_accuracies",
    "read_counts",
    "read_likelihoods",
    "read_losses",
    "read_prices",
]
