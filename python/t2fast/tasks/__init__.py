"""Tasks: problems with prompts, and a rule that tells whether a text solves one.

    task = t2fast.tasks.load_task("reasoning-gym/chain_sum:min_terms=2,max_terms=2", problems=200)
    task.verify(task.problems[0], " 12")

A task is data: nothing here knows a model. Texts are judged by comparing answers; generated code is never
run.
"""

from t2fast.tasks.answers import RULES
from t2fast.tasks.spec import load_task, task_names
from t2fast.tasks.task import Problem, Task

__all__ = ["RULES", "Problem", "Task", "load_task", "task_names"]
