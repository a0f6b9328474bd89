// Uploads `size` bytes with tus-js-client to `url`, is cut off `cuts` times on the way, goes on each time, and says where the
// upload is and what it has sent: {"url", "sha256", "resumed"}. Usage: tus.mjs url token size cuts
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import * as tus from 'tus-js-client'

const [url, token, sizeText, cutsText] = process.argv.slice(2)
const size = Number(sizeText)
const cuts = Number(cutsText)
const block = 1 << 16

// Bytes by their place alone: any part can be made again, and a byte in the wrong place is noticed.
function bytes(start, end) {
  const out = Buffer.alloc(end - start)
  for (let i = start; i < end; i++) out[i - start] = (i * 31 + (i >> 8) * 7 + (i >> 16) * 13) & 0xff
  return out
}

function* blocks(start) {
  for (let at = start; at < size; at += block) yield bytes(at, Math.min(at + block, size))
}

const hash = createHash('sha256')
for (const part of blocks(0)) hash.update(part)
const sha256 = hash.digest('hex')

let uploadUrl = null
let resumed = 0
for (let cut = 0; cut <= cuts; cut++) {
  const stopAt = cut < cuts ? Math.floor((size * (cut + 1)) / (cuts + 1)) : Infinity
  await new Promise((resolve, reject) => {
    // A file slice by slice: memory stays small here too.
    const source = {
      size,
      slice: (start, end) => {
        const last = Math.min(end, size)
        const value = Readable.from(limited(start, last), { objectMode: false })
        value.size = last - start
        return Promise.resolve({ value, done: last >= size })
      },
      close() {},
    }
    const upload = new tus.Upload(source, {
      endpoint: url,
      uploadUrl,
      chunkSize: 8 * 1024 * 1024,
      retryDelays: null,
      fileReader: { openFile: () => Promise.resolve(source) },
      headers: { Authorization: `Bearer ${token}` },
      metadata: { filename: 'big.bin' },
      onProgress(sent) {
        if (sent >= stopAt) {
          uploadUrl = upload.url
          resumed += 1
          // The connection is cut in the middle of a request.
          upload.abort().then(resolve, reject)
        }
      },
      onError: reject,
      onSuccess() {
        uploadUrl = upload.url
        resolve()
      },
    })
    upload.start()
  })
}
console.log(JSON.stringify({ url: uploadUrl, sha256, resumed }))

function* limited(start, end) {
  for (let at = start; at < end; at += block) yield bytes(at, Math.min(at + block, end))
}
