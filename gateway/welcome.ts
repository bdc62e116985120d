// What a person reads when a node is up: where it listens, what was chosen for them, and how to choose otherwise.

import type { ConfigResult } from './config.ts';
import type { RunningNode } from './compose.ts';
import { TOKEN_FILE } from './local-access.ts';

type Configured = ConfigResult & { readonly outcome: 'config' };

export function welcomeText({ config, defaulted }: Configured, node: RunningNode): string {
  const { dataDir } = config;
  const lines = ['Parley is up.', '', `  Clients connect to  ${node.url}`];
  if (node.developmentToken !== null) {
    lines.push('  Talk to it with     npm run chat', `  Development token   ${node.developmentToken}`);
  }
  if (node.metricsUrl !== null) lines.push(`  Metrics             ${node.metricsUrl}`);
  const choices: string[] = [];
  if (node.embedded) {
    choices.push(
      `Database  the embedded one, in ${dataDir}. It survives kill -9, not power loss. Set DATABASE_URL for Postgres.`,
    );
  }
  if (config.anthropicApiKey === null && config.openaiApiKey === null && config.compatibleBaseUrl === null) {
    choices.push(
      'Model     scripted: it answers without a provider. Set ANTHROPIC_API_KEY for Anthropic, OPENAI_API_KEY for OpenAI.',
    );
  } else if (defaulted.has('defaultModel')) {
    choices.push(`Model     ${node.models.defaultId}. Choose another with --default-model.`);
  }
  if (node.developmentToken !== null) {
    choices.push(
      `Access    the development token, also in ${dataDir}/${TOKEN_FILE}. Set PARLEY_JWT_SECRET for credentials of your own.`,
    );
  }
  if (defaulted.has('host') || defaulted.has('port')) {
    choices.push(`Address   ${config.host}, port ${new URL(node.url).port}. Choose others with --host and --port.`);
  }
  if (choices.length > 0) lines.push('', 'Chosen by default:', ...choices.map((choice) => `  ${choice}`));
  lines.push('', 'All options: npm start -- --help. Stop with Ctrl-C.', '');
  return lines.join('\n');
}
