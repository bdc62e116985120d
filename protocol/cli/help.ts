// What `--help` prints.

export const HELP = `Usage: npm run chat -- [options]          (add -s behind npm to drop npm's own lines: npm run -s chat -- …)

Talks to a Parley node. Without options it finds the node that npm start runs here and opens a new chat.

  -m, --message <text>  send one message, print the reply to standard output, leave
      --json            print one JSON value per line instead of text (see below)
      --chat <id>       go on in this chat
      --last            go on in the chat that changed last
      --new             open a new chat (the default)
      --model <name>    the model of the new chat
      --title <text>    the title of the new chat
      --timeout <s>     with --message: give up waiting after so many seconds (the turn itself goes on)
      --tools           let the model call tools of this terminal: ask_user, which asks you, and local_time
      --approve <a>     with --message: what calls that ask for approval are told: all (they run) or none
      --url <url>       the node, such as ws://127.0.0.1:7077           (or PARLEY_URL)
      --token <token>   the credential                                  (or PARLEY_TOKEN)
      --data-dir <dir>  where a local node keeps its address and token  (or PARLEY_DATA_DIR; .parley)
  -h, --help            this text

While a turn runs Ctrl-C stops it, and what you type is queued behind it. At the prompt Ctrl-C twice or /quit leaves;
leaving never stops a turn. /approve and /deny answer the calls of tools that ask first, a message instead denies them;
/steer tells the turn that runs something on its way. /help lists the commands. NO_COLOR switches colours off.

Exit codes: 0 the reply is complete · 1 it is not, or something failed (one line on standard error says what) ·
2 bad options · 3 a call of a tool asks for an approval and --approve was not given; it goes on waiting ·
124 --timeout · 130 Ctrl-C.

With --json every line is one of
  {"chat": id, "position": [epoch, seq], "span": n, "event": {"kind": …}}
      an event in its place in the chat's log; the kinds are those of protocol/SPEC.md
  {"chat": id, "position": [epoch, seq], "snapshot": {"chat": …, "messages": […], "queue": […], "live": … }}
      the state as of that position: what was shown before it is replaced
  {"chat": id, "gone": true}
      there is no such chat any more
`;
