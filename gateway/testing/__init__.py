"""What ships for the authors of policies and prompts: a mock vLLM, fakes, pytest fixtures."""
