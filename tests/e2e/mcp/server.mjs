// An MCP server by the official SDK for Node.js, with sessions and streams of events. Prints its URL.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';

const token = process.argv[2];
const sessions = new Map();

function made() {
  const server = new McpServer({ name: 'standin', version: '1.0.0' });
  server.registerTool(
    'add',
    {
      description: 'Adds two numbers',
      inputSchema: { a: z.number(), b: z.number() },
      outputSchema: { sum: z.number() },
      annotations: { readOnlyHint: true }
    },
    async ({ a, b }) => ({
      content: [{ type: 'text', text: String(a + b) }],
      structuredContent: { sum: a + b }
    })
  );
  server.registerTool('fail', { description: 'Fails' }, async () => ({
    content: [{ type: 'text', text: 'it went wrong' }],
    isError: true
  }));
  return server;
}

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  return text ? JSON.parse(text) : undefined;
}

const http = createServer(async (request, response) => {
  if (token && request.headers.authorization !== `Bearer ${token}`) {
    response.writeHead(401, { 'WWW-Authenticate': 'Bearer realm="standin"' }).end();
    return;
  }
  const message = await body(request);
  const id = request.headers['mcp-session-id'];
  let transport = id && sessions.get(id);
  if (!transport && message?.method === 'initialize') {
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (session) => sessions.set(session, transport)
    });
    await made().connect(transport);
  }
  if (!transport) {
    response.writeHead(id ? 404 : 400).end();
    return;
  }
  await transport.handleRequest(request, response, message);
});
http.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${http.address().port}/mcp`));
