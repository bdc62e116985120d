// The fake model servers as a child of the benchmark: what they take of the processor is nobody's figure.

import { anthropicProtocol } from '../../../loadtest/fakes/anthropic-server.ts';
import { FakeServer } from '../../../loadtest/fakes/fake-server.ts';
import { ResponsesEndpoint } from '../../../loadtest/fakes/responses-server.ts';
import { ScenarioEndpoint } from '../../../loadtest/fakes/scenario-endpoint.ts';
import { serve } from '../support/child.ts';

serve({
  /** Gives the URL; every request gets as many deltas, each event a chunk of its own, as providers send them. */
  listen: async (tokens: number): Promise<string> => {
    const defaults = { tokens };
    const anthropic = new ScenarioEndpoint(anthropicProtocol({ defaults }));
    const fake = new FakeServer([anthropic, new ResponsesEndpoint({ defaults })]);
    await fake.listen(0);
    return fake.url;
  },
});
