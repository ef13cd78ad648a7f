"""A testbed of some ten tiny models, as settings."""

TINY = """
family = "qwen3"
sizes = [[8, 1, 1], [12, 1, 1], [16, 1, 2], [24, 1, 2]]
context = 64
vocab = 320
corpus_tokens = 300_000
batch = 8
least_steps = 20
lr = 1e-2
budgets = [2e8, 4e8, 8e8]
tokens_per_param = [0.5, 20]
overtrained_budgets = [4e8]
overtrained_tokens_per_param = [5, 20]
repeated_budgets = [2e8]
repeats = 2
tasks = ["synthetic/knowledge"]
problems = 12
samples = 8
train_flops = 6.4e9
inference_flops = 1.2e5
loop_seeds = 1
tuned_tasks = ["synthetic/knowledge"]
tuned_problems = 24
tuned_epochs = 2
"""
