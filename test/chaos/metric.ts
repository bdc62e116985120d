// One metric of one node.

/** The sum of the samples of that name whose labels hold `label`; 0 where there is none. */
export async function readMetric(url: string, name: string, label = ''): Promise<number> {
  const text = await (await fetch(url)).text();
  const samples = text
    .split('\n')
    .filter((line) => (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) && line.includes(label));
  return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
