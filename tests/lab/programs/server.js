// A web server of Node's own, with HTTPS and a TLS key log: server.js FOLDER PORT.
// Logs what it served as JSON lines, in FOLDER/access.log.
const fs = require('fs');
const https = require('https');

const [folder, port] = process.argv.slice(2);
const options = {
  key: fs.readFileSync(`${folder}/key.pem`),
  cert: fs.readFileSync(`${folder}/certificate.pem`),
};
const server = https.createServer(options, (request, response) => {
  const status = request.url.startsWith('/missing') ? 404 : 200;
  response.writeHead(status, { 'Content-Length': 6 });
  response.end('hello\n');
  const facts = {
    src: request.socket.remoteAddress, src_port: String(request.socket.remotePort), method: request.method,
    host: request.headers.host, target: request.url, version: `HTTP/${request.httpVersion}`, status: String(status),
  };
  fs.appendFileSync(`${folder}/access.log`, JSON.stringify(facts) + '\n');
});
const keys = fs.createWriteStream(`${folder}/keys.log`, { flags: 'a', mode: 0o600 });
server.on('keylog', (line) => keys.write(line));
server.listen(port, '0.0.0.0');
