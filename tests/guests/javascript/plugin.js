// A validator from another toolchain: its runtime carries WASI imports, and it tells what clock and dice they show.
import { get } from 'hallmark:plugin/submission@0.1.0';

let greeting = '';

export const metadata = {
  describe: () => ({
    name: 'clock-and-dice',
    version: '1.0.0',
    summary: 'Tells what clock and dice it sees.',
    settingsSchema: '{"type": "object", "properties": {"greeting": {"type": "string"}}}',
    findingCodes: [{ code: 'seen', summary: 'What was seen.', help: 'Nothing to do.' }],
  }),
};

export function configure(settings) {
  greeting = JSON.parse(settings)?.greeting ?? 'none';
}

export const validatorStage = {
  validate: () => [
    {
      severity: 'info',
      code: 'seen',
      path: '',
      message: `${new Date().toISOString()} ${Math.random()} ${greeting} ${get('/name')}`,
    },
  ],
};
