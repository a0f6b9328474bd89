//! A client as the suite runs it: `mcp-client <url>`, with the scenario in `MCP_CONFORMANCE_SCENARIO`.

use mcp_conformance::oauth::Grants;
use mcp_conformance::wire::Wire;
use nodeai_mcp::client::{Client, Fault, Inputs, NoInputs, Spoken};
use nodeai_mcp::version::MODERN;
use serde_json::{Value, json};
use url::Url;

/// Accepts whatever it is asked for.
struct Agreeing;

impl Inputs for Agreeing {
    async fn answer(&self, request: &Value) -> Option<Value> {
        let properties = request["params"]["requestedSchema"]["properties"].as_object();
        let filled = properties.into_iter().flatten().map(|(name, schema)| {
            let value = match schema["type"].as_str() {
                Some("boolean") => json!(true),
                Some("integer" | "number") => json!(1),
                _ => json!("test"),
            };
            (
                name.clone(),
                schema.get("default").cloned().unwrap_or(value),
            )
        });
        Some(json!({"action": "accept", "content": filled.collect::<serde_json::Map<_, _>>()}))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().next_back().unwrap_or_default();
    let scenario = std::env::var("MCP_CONFORMANCE_SCENARIO").unwrap_or_default();
    let version = std::env::var("MCP_CONFORMANCE_PROTOCOL_VERSION").unwrap_or_default();
    let context = std::env::var("MCP_CONFORMANCE_CONTEXT").unwrap_or_default();
    let context: Value = serde_json::from_str(&context).unwrap_or_default();
    let wire = Wire::new(Grants::new(Url::parse(&url)?, context.clone()));
    let client = Client::new(&wire, &url, "nodeai-conformance", "1.0.0");
    let client = client.with_capabilities(json!({"elicitation": {}}));
    // The suite's servers know only what their scenario is about; this one is about finding out.
    let told = version == MODERN && scenario != "request-metadata";
    let client = match told {
        true => client.with_spoken(Spoken {
            version,
            session: None,
        }),
        false => client,
    };
    let ran = run(&client, &scenario, &context).await;
    client.close().await;
    Ok(ran?)
}

async fn run(client: &Client<'_, Wire>, scenario: &str, context: &Value) -> Result<(), Fault> {
    client.connect().await?;
    let listing = client.list_tools().await?;
    let schema = |name: &str| {
        let found = listing.tools.iter().find(|tool| tool.name == name);
        found.map(|tool| tool.input_schema.clone())
    };
    match scenario {
        "json-schema-ref-no-deref" | "request-metadata" => {}
        "json-schema-2020-12-preservation" => {
            let seen = schema("json_schema_2020_12_tool");
            let arguments = json!({"schema": seen});
            client
                .call_tool("json_schema_echo", &arguments, None, &NoInputs)
                .await?;
        }
        "http-custom-headers" => {
            for call in context["toolCalls"].as_array().into_iter().flatten() {
                let name = call["name"].as_str().unwrap_or_default();
                let schema = schema(name);
                client
                    .call_tool(name, &call["arguments"], schema.as_ref(), &NoInputs)
                    .await?;
            }
        }
        "http-standard-headers" => {
            every_tool(client, &listing).await?;
            others(client).await?;
        }
        "tools_call" | "tools-call" => {
            for tool in &listing.tools {
                let arguments = json!({"a": 2, "b": 3});
                client
                    .call_tool(&tool.name, &arguments, Some(&tool.input_schema), &NoInputs)
                    .await?;
            }
        }
        _ => every_tool(client, &listing).await?,
    }
    Ok(())
}

async fn every_tool(
    client: &Client<'_, Wire>,
    listing: &nodeai_mcp::client::Listing,
) -> Result<(), Fault> {
    for tool in &listing.tools {
        let schema = Some(&tool.input_schema);
        client
            .call_tool(&tool.name, &json!({}), schema, &Agreeing)
            .await?;
    }
    Ok(())
}

/// Resources and prompts, which the product's client does not ask for.
async fn others(client: &Client<'_, Wire>) -> Result<(), Fault> {
    let params = |value: Value| value.as_object().cloned().unwrap_or_default();
    let resources = client
        .request("resources/list", params(json!({})), &[])
        .await?;
    if let Some(uri) = resources["resources"][0]["uri"].as_str() {
        client
            .request("resources/read", params(json!({"uri": uri})), &[])
            .await?;
    }
    let prompts = client
        .request("prompts/list", params(json!({})), &[])
        .await?;
    if let Some(name) = prompts["prompts"][0]["name"].as_str() {
        client
            .request("prompts/get", params(json!({"name": name})), &[])
            .await?;
    }
    Ok(())
}
