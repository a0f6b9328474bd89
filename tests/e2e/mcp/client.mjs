// Speaks to an MCP server with the official SDK for Node.js, in the eras that begin with a handshake.
//
//     node client.mjs URL TOKEN TOOL ARGUMENTS
//
// One JSON on stdout: {"version", "tools": [...], "result": {...}}.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [url, token, tool, given] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
const client = new Client({ name: 'nodeai-tests', version: '1.0.0' });
await client.connect(transport);
await client.ping();
const tools = [];
let cursor;
do {
  const page = await client.listTools(cursor ? { cursor } : undefined);
  tools.push(...page.tools);
  cursor = page.nextCursor;
} while (cursor);
const heard = [];
const onprogress = (progress) => heard.push(progress);
const result = await client.callTool({ name: tool, arguments: JSON.parse(given) }, undefined, { onprogress });
await client.close();
console.log(JSON.stringify({ version: transport.protocolVersion, tools, result, heard }));
