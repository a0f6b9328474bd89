// An S3-compatible server with the bucket `files`, which checks signatures; says its URL when it answers.
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import S3rver from 's3rver'

const directory = mkdtempSync(join(tmpdir(), 's3rver-'))
const server = new S3rver({
  port: 0,
  address: '127.0.0.1',
  silent: true,
  directory,
  configureBuckets: [{ name: 'files', configs: [] }],
})
const { port } = await server.run()
console.log(`http://127.0.0.1:${port}`)
