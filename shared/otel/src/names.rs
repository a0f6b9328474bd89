//! Names of attributes that mean the same, the newest first: OpenTelemetry's GenAI semantic conventions
//! (`open-telemetry/semantic-conventions-genai`), their earlier names, OpenInference, OpenLLMetry.

pub const OPERATION: &[&str] = &["gen_ai.operation.name", "llm.request.type"];
pub const OPENINFERENCE_KIND: &str = "openinference.span.kind";
pub const TRACELOOP_KIND: &str = "traceloop.span.kind";

pub const PROVIDER: &[&str] = &[
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.provider",
    "llm.system",
    "llm.vendor",
    "embedding.provider",
];
pub const MODEL: &[&str] = &[
    "gen_ai.request.model",
    "gen_ai.response.model",
    "llm.model_name",
    "embedding.model_name",
    "reranker.model_name",
    "llm.request.model",
    "llm.response.model",
];
pub const RESPONSE_MODEL: &[&str] = &[
    "gen_ai.response.model",
    "llm.response.model",
    "llm.model_name",
];
pub const INPUT_TOKENS: &[&str] = &[
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
];
pub const OUTPUT_TOKENS: &[&str] = &[
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
];
pub const TOTAL_TOKENS: &[&str] = &[
    "gen_ai.usage.total_tokens",
    "llm.token_count.total",
    "llm.usage.total_tokens",
];
pub const CACHE_READ: &[&str] = &[
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.input_tokens.cached",
    "llm.token_count.prompt_details.cache_read",
    "llm.usage.cache_read_input_tokens",
];
pub const CACHE_WRITE: &[&str] = &[
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write",
    "llm.usage.cache_creation_input_tokens",
];
pub const CACHE_WRITE_1H: &[&str] = &[
    "nodeai.usage.cache_write_1h_tokens",
    "gen_ai.usage.cache_creation.ephemeral_1h_input_tokens",
];
pub const REASONING: &[&str] = &[
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.output_tokens.reasoning",
    "llm.token_count.completion_details.reasoning",
    "llm.usage.reasoning_tokens",
];
pub const AUDIO_INPUT: &[&str] = &[
    "gen_ai.usage.audio.input_tokens",
    "llm.token_count.prompt_details.audio",
];
pub const AUDIO_OUTPUT: &[&str] = &[
    "gen_ai.usage.audio.output_tokens",
    "llm.token_count.completion_details.audio",
];
pub const IMAGE_INPUT: &[&str] = &[
    "gen_ai.usage.image.input_tokens",
    "llm.token_count.prompt_details.image",
];
pub const COST_USD: &[&str] = &[
    "gen_ai.usage.cost",
    "llm.cost.total",
    "llm.usage.total_cost",
];
pub const COST_PUSD: &str = "nodeai.cost_pusd";
pub const SERVICE_TIER: &[&str] = &[
    "openai.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "gen_ai.response.service_tier",
    "openai.request.service_tier",
    "gen_ai.openai.request.service_tier",
];
pub const SESSION: &[&str] = &[
    "session.id",
    "gen_ai.conversation.id",
    "traceloop.association.properties.session_id",
    "langfuse.session.id",
];
pub const END_USER: &[&str] = &[
    "user.id",
    "enduser.id",
    "gen_ai.user.id",
    "traceloop.association.properties.user_id",
    "llm.user",
];
pub const TAGS: &[&str] = &["tag.tags", "langfuse.trace.tags", "nodeai.tags"];
pub const NODE_ID: &[&str] = &["nodeai.node.id", "graph.node.id", "traceloop.entity.path"];
pub const NODE_TYPE: &[&str] = &["nodeai.node.type"];
pub const WORKFLOW_ID: &[&str] = &["nodeai.workflow_id", "nodeai.workflow.id"];
