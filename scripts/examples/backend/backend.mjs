// A backend of Roomcast: answers `order:create`, and publishes a message about it. Node 18 or later, no packages.
//
//   SHOP_SECRET=hush node backend.mjs 8090
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'

export function isSigned(secret, timestamp, signature, body) {
  const expected = Buffer.from('v1=' + createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest('hex'))
  return String(signature).split(',').map((each) => Buffer.from(each))
    .some((each) => each.length === expected.length && timingSafeEqual(each, expected))
}

export function serve(port, secret) {
  return createServer(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const [body, timestamp] = [Buffer.concat(chunks), request.headers['x-roomcast-timestamp']]
    const isFresh = Math.abs(Date.now() / 1000 - timestamp) < 300
    const isOurs = isFresh && isSigned(secret, timestamp, request.headers['x-roomcast-signature'], body)
    if (!isOurs) return response.writeHead(401).end()
    const { user, event, data, roomId } = JSON.parse(body)
    const answer = event !== 'order:create' ? { error: { code: 'NO_SUCH_EVENT', message: `${event} is unknown here` } }
      : { reply: { orderId: `${user.id}-1`, item: data.item }, publish: roomId ? [{ roomId, content: `${user.id} orders` }] : [] }
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer))
  }).listen(port, '127.0.0.1', function () { console.log(this.address().port) })
}

if (process.argv[1]?.endsWith('backend.mjs')) serve(process.argv[2] ?? 0, process.env.SHOP_SECRET)
