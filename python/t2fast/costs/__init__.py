"""Cost models, one a file: what training, a query, a token as sold and time on named hardware cost."""

from t2fast.costs.tokens import QueryPrice

__all__ = ["QueryPrice"]
