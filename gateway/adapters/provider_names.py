"""The providers that LiteLLM translates for, written down so that a file is checked without it.

A test compares the names with the installed LiteLLM: a new version cannot make them stale.
"""

from __future__ import annotations

# Not the providers of a model: choosing, storing prompts, code of one's own; and logins by hand.
NOT_HERE = frozenset(
    {
        *("auto_router", "custom", "dotprompt", "humanloop", "langfuse", "litellm_agent"),
        *("chatgpt", "github_copilot"),
    }
)
# As `litellm.provider_list` has them, less these and those whose servers our own wire reaches.
_NAMES = """
a2a a2a_agent ai21 ai21_chat aiml aiohttp_openai amazon_nova anthropic anthropic_text apertis
assemblyai aws_polly aws_textract azure azure_ai azure_speech azure_text baseten bedrock
bedrock_mantle black_forest_labs bytez cerebras charity_engine chutes clarifai cloudflare
codestral cognition cohere cohere_chat cometapi compactifai cortecs cursor custom_openai
darkbloom dashscope databricks datarobot deepgram deepinfra deepseek docker_model_runner edenai
elevenlabs empower fal_ai featherless_ai fireworks_ai friendliai galadriel gdc gemini gigachat
github gradient_ai groq helicone heroku huggingface hyperbolic inception infinity jina_ai
lambda_ai langflow langgraph lemonade libertai litellm_proxy manus maritalk meta meta_llama
milvus minimax mistral modelscope mongodb moonshot morph nadir nano-gpt nebius neosantara
nlp_cloud novita nscale nvidia_nim nvidia_riva oci ollama ollama_chat oobabooga openrouter
ovhcloud parasail perplexity petals pg_vector pinstripes poe predibase prism publicai
qwen_ai_platform qwencloud ragflow recraft reducto reka replicate runwayml s3_vectors sagemaker
sagemaker_chat sagemaker_nova sail sambanova sap scaleway scx-ai snowflake soniox stability
strands_decider synthetic tencent tensormesh text-completion-codestral
text-completion-inception together_ai topaz transcribe triton typesafe v0 valkey
vercel_ai_gateway vertex_ai vertex_ai_beta volcengine voyage wandb watsonx watsonx_text xai
xiaomi_mimo xinference zai
"""
PROVIDERS = frozenset(_NAMES.split())
