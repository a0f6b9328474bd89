//! The providers whose models can be called by reference.

/// The protocol that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OpenAI's chat completions, or a server that copies them.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Google's Gemini.
    Gemini,
    /// No network: the test models.
    BuiltIn,
}

/// One provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provider {
    /// The part of a reference before the slash.
    pub prefix: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// The protocol.
    pub protocol: Protocol,
    /// `gen_ai.provider.name` by the GenAI semantic conventions.
    pub name: &'static str,
    /// Where its API is, without a slash at the end.
    pub base_url: &'static str,
    /// The secret that holds the API key unless a node names another.
    pub key_secret: &'static str,
}

const fn provider_of(
    prefix: &'static str,
    title: &'static str,
    protocol: Protocol,
    name: &'static str,
    base_url: &'static str,
    key_secret: &'static str,
) -> Provider {
    Provider {
        prefix,
        title,
        protocol,
        name,
        base_url,
        key_secret,
    }
}

use Protocol::OpenAi;

/// All of them.
#[rustfmt::skip]
pub const PROVIDERS: &[Provider] = &[
    provider_of("openai", "OpenAI", OpenAi, "openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    provider_of("anthropic", "Anthropic", Protocol::Anthropic, "anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    provider_of("gemini", "Google Gemini", Protocol::Gemini, "gcp.gemini", "https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY"),
    provider_of("groq", "Groq", OpenAi, "groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    provider_of("mistral", "Mistral", OpenAi, "mistral_ai", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    provider_of("deepseek", "DeepSeek", OpenAi, "deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    provider_of("xai", "xAI", OpenAi, "x_ai", "https://api.x.ai/v1", "XAI_API_KEY"),
    provider_of("openrouter", "OpenRouter", OpenAi, "openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    provider_of("cohere", "Cohere", OpenAi, "cohere", "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY"),
    provider_of("voyage", "Voyage AI", OpenAi, "voyage_ai", "https://api.voyageai.com/v1", "VOYAGE_API_KEY"),
    provider_of("jina", "Jina AI", OpenAi, "jina_ai", "https://api.jina.ai/v1", "JINA_API_KEY"),
    provider_of("together", "Together AI", OpenAi, "together_ai", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    provider_of("fireworks", "Fireworks AI", OpenAi, "fireworks_ai", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    provider_of("cerebras", "Cerebras", OpenAi, "cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    provider_of("perplexity", "Perplexity", OpenAi, "perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    provider_of("moonshotai", "Moonshot AI", OpenAi, "moonshot_ai", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    provider_of("zai", "Z.ai", OpenAi, "z_ai", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
    provider_of("builtin", "Test models", Protocol::BuiltIn, "builtin", "", ""),
];

/// The provider with this prefix.
pub fn provider(prefix: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.prefix == prefix)
}
