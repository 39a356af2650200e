// Starts the npm parse-server for the benchmarks; everything it needs is in the environment.
const http = require('http');
const express = require('express');
const FSFilesAdapter = require('@parse/fs-files-adapter');
const { ParseServer } = require('parse-server');

async function main() {
  const port = Number(process.env.PORT);
  const server = new ParseServer({
    databaseURI: process.env.DATABASE_URI,
    appId: process.env.APP_ID,
    masterKey: process.env.MASTER_KEY,
    restAPIKey: process.env.REST_KEY,
    serverURL: `http://127.0.0.1:${port}/parse`,
    allowClientClassCreation: true,
    logLevel: 'error',
    logsFolder: null,
    silent: true,
    // Files in a directory below the working directory, where they are asked for.
    ...(process.env.FILES && { filesAdapter: new FSFilesAdapter(), maxUploadSize: '200mb' }),
    liveQuery: { classNames: ['LiveMessage'] },
  });
  await server.start();
  const app = express();
  app.use('/parse', server.app);
  // A driver that is busy reading must not find its connections closed.
  const listener = http.createServer({ keepAliveTimeout: 60_000 }, app);
  await ParseServer.createLiveQueryServer(listener);
  listener.listen(port, '127.0.0.1');
}

main().catch(error => {
  console.error(error);
  process.exit(1);
});
