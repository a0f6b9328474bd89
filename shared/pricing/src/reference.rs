//! What a model is called: a reference, `provider/model`, from the names that providers and conventions have for both.

/// A provider as the catalogue names it, from its names in the semantic conventions and elsewhere.
pub fn normal_provider(name: &str) -> &str {
    match name {
        "gcp.gemini" | "gcp.gen_ai" | "gcp.vertex_ai" | "google" | "google_genai" | "vertex_ai"
        | "vertexai" => "gemini",
        "x_ai" | "x-ai" => "xai",
        "mistral_ai" | "mistralai" => "mistral",
        "together_ai" => "together",
        "fireworks_ai" => "fireworks",
        "z_ai" => "zai",
        "moonshot_ai" => "moonshotai",
        "az.ai.openai" | "azure.ai.openai" | "azure.ai.inference" | "az.ai.inference" => "azure",
        name => name,
    }
}

/// The reference of a model that a span names in two columns: ingest and all that reads its spans ask here, so that a price
/// is found for all of them or for none. A model may name its provider itself; where nobody does, its family may.
pub fn reference_of(provider: &str, model: &str) -> String {
    let provider = provider.to_ascii_lowercase();
    let provider = match normal_provider(&provider) {
        "" => return with_family(model),
        provider => provider,
    };
    match model.split_once('/') {
        Some((prefix, _)) if normal_provider(prefix) == provider => model.to_owned(),
        _ => format!("{provider}/{model}"),
    }
}

/// OpenInference's older exporters do not name the provider.
fn with_family(model: &str) -> String {
    const FAMILIES: &[(&str, &str)] = &[
        ("gpt-", "openai"),
        ("o3", "openai"),
        ("o4", "openai"),
        ("claude-", "anthropic"),
        ("gemini-", "gemini"),
    ];
    let family = FAMILIES.iter().find(|(start, _)| model.starts_with(start));
    family.map_or_else(
        || model.to_owned(),
        |(_, provider)| format!("{provider}/{model}"),
    )
}

/// The reference without the date at its end (`gpt-4o-2024-08-06`, `claude-sonnet-4-20250514`).
pub fn without_date(reference: &str) -> &str {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    for shape in [&[8][..], &[4, 2, 2]] {
        let parts: Vec<&str> = reference.rsplitn(shape.len() + 1, '-').collect();
        let fits = |(part, length): (&&str, &usize)| is_digits(part) && part.len() == *length;
        if parts.len() == shape.len() + 1 && parts.iter().zip(shape.iter().rev()).all(fits) {
            return parts[shape.len()];
        }
    }
    reference
}
