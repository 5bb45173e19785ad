// Makes the component: node build.mjs OUT
import { writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const { component } = await componentize({
  sourcePath: new URL('plugin.js', import.meta.url).pathname,
  witPath: new URL('../../../wit/hallmark-plugin', import.meta.url).pathname,
  worldName: 'validator',
  // A plugin has no network; without this the component would import it and be refused.
  disableFeatures: ['http', 'fetch-event', 'stdio'],
});
await writeFile(process.argv[2], component);
