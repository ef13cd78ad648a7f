"""Plans: how many parameters N, tokens D and samples k given budgets of training and inference buy best."""

from t2fast.plans.checked import plan_checked
from t2fast.plans.checked_plan import CheckedPlan
from t2fast.plans.frontiers import frontier
from t2fast.plans.many import plan_many
from t2fast.plans.planned import Plan
from t2fast.plans.purse import plan_spending
from t2fast.plans.single import plan
from t2fast.plans.spending import Spending, best_spending, cheapest_spending
from t2fast.plans.spending_plan import SpendingPlan
from t2fast.plans.workload import Limit, Workload

__all__ = [
    "CheckedPlan",
    "Limit",
    "Plan",
    "Spending",
    "SpendingPlan",
    "Workload",
    "best_spending",
    "cheapest_spending",
    "frontier",
    "plan",
    "plan_checked",
    "plan_many",
    "plan_spending",
]
