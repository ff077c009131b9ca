"""The ablation: what each way of tying query, key and value costs, task by task."""
