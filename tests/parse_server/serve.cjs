'use strict';
// Runs the npm parse-server on a database: node serve.cjs FOLDER PORT DATABASE_URI [REDIS_URL [ENCRYPTION_KEY]]
// FOLDER is where it is installed. Prints "ready" when it answers.

const { createRequire } = require('module');
const path = require('path');

const [folder, port, databaseURI, redisURL, encryptionKey] = process.argv.slice(2);
const { ParseServer } = createRequire(path.join(folder, 'package.json'))('parse-server');

process.chdir(folder);

ParseServer.startApp({
  appId: 'tests',
  masterKey: 'tests-master-key',
  databaseURI,
  port: Number(port),
  host: '127.0.0.1',
  mountPath: '/parse',
  serverURL: `http://127.0.0.1:${port}/parse`,
  allowClientClassCreation: true,
  // This is what it encrypts files in MongoDB with.
  ...(encryptionKey && { fileKey: encryptionKey }),
  verifyServerUrl: false,
  // An auth provider that believes whatever it is told.
  auth: { trusting: { module: { validateAppId: async () => {}, validateAuthData: async () => ({}) } } },
  // Each request looks at the schema again: the other server changes it, too.
  databaseOptions: { schemaCacheTtl: 1 },
  // With a Redis: LiveQuery of classes whose names begin with Live.
  ...(redisURL && {
    liveQuery: { classNames: ['Live.*'], redisURL },
    startLiveQueryServer: true,
    liveQueryServerOptions: { redisURL },
  }),
  logLevel: 'error',
  silent: true,
  logsFolder: null,
}).then(
  () => console.log('ready'),
  error => {
    console.error(error);
    process.exit(1);
  }
);
