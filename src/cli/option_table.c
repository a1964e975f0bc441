/* option_table.c - every option and every command, once. */
#include "option_table.h"

#include "options.h"

#define RUN      (1u << NDL_CMD_RUN)
#define IMPORT   (1u << NDL_CMD_IMPORT)
#define SYNTH    (1u << NDL_CMD_SYNTH)
#define EXPORT   (1u << NDL_CMD_EXPORT)
#define QUANTIZE (1u << NDL_CMD_QUANTIZE)
#define LOGITS   (1u << NDL_CMD_LOGITS)
#define TOKENIZE (1u << NDL_CMD_TOKENIZE)
#define PROFILE  (1u << NDL_CMD_PROFILE)
#define PLAN     (1u << NDL_CMD_PLAN)
#define HARDWARE (1u << NDL_CMD_HARDWARE)
#define EVAL     (1u << NDL_CMD_EVAL)
#define BENCH    (1u << NDL_CMD_BENCH)
#define ALL      ((1u << NDL_N_COMMANDS) - 1)

#define AT(field) offsetof(ndl_options, field)

/* clang-format off */
const ndl_option ndl_option_table[] = {
    { "-m, --model", NDL_OPTION_TEXT, AT(model),
      RUN | LOGITS | EVAL | TOKENIZE | PROFILE | PLAN | BENCH, NULL, 0, 0,
      "FILE",
      "weights file (default: the bundled model)" },
    { "-p, --prompt", NDL_OPTION_TEXT, AT(prompt), RUN, NULL, 0, 0, "TEXT",
      "the prompt" },
    { "-f, --file", NDL_OPTION_TEXT, AT(file), RUN, NULL, 0, 0, "FILE",
      "a file that is one whole prompt" },
    { "-f, --file", NDL_OPTION_TEXT, AT(file), EVAL, NULL, 0, 0, "TEXT",
      "a file with the text to score" },
    { "--prompts", NDL_OPTION_TEXT, AT(prompts), RUN, NULL, 0, 0, "FILE",
      "a file with one prompt a line; all are run" },
    { "--requests", NDL_OPTION_TEXT, AT(requests), RUN, NULL, 0, 0,
      "FILE.jsonl", "a file with one request a line; all are run, and the "
      "answers go to -o" },
    { "-o, --output", NDL_OPTION_TEXT, AT(results), RUN, NULL, 0, 0,
      "OUT.jsonl", "with --requests: one answer a line; what is there already "
      "is not run again" },
    { "--prompt-ids", NDL_OPTION_TEXT, AT(prompt_ids), RUN, NULL, 0, 0,
      "1,2,3", "the prompt as token ids, taken as they are" },
    { "-n, --predict, --n-predict", NDL_OPTION_INT, AT(predict), RUN, "128",
      -1, 1 << 24, "N", "tokens to write at most; -1: until the model ends "
      "or the context is full" },
    { "--ignore-eos", NDL_OPTION_FLAG, AT(ignore_eos), RUN, NULL, 0, 0, "",
      "go on after the model's end token" },
    { "--no-display-prompt", NDL_OPTION_FLAG, AT(no_display_prompt), RUN, NULL,
      0, 0, "", "write only the new text, not the prompt" },
    { "--temp, --temperature", NDL_OPTION_REAL, AT(temperature), RUN, "0.8",
      0, 100, "T", "0 takes the likeliest token (greedy)" },
    { "--top-k", NDL_OPTION_INT, AT(top_k), RUN, "40", 0, 1 << 24, "K",
      "draw among the K likeliest; 0: all" },
    { "--top-p", NDL_OPTION_REAL, AT(top_p), RUN, "0.95", 0, 1, "P",
      "draw among the likeliest that together have P; 1: all" },
    { "--min-p", NDL_OPTION_REAL, AT(min_p), RUN, "0.05", 0, 1, "P",
      "drop what has less than P times the likeliest; 0: nothing" },
    { "-s, --seed", NDL_OPTION_INT64, AT(seed), RUN | SYNTH, "0", -1,
      9007199254740992.0, "N",
      "the same seed gives the same text on any cluster; -1: a new one" },
    { "--ids", NDL_OPTION_TEXT, AT(ids), LOGITS, NULL, 0, 0, "1,2,3",
      "token ids of the text" },
    { "--ids", NDL_OPTION_TEXT, AT(ids), EVAL, NULL, 0, 0, "FILE",
      "the text as token ids, in a file of numbers" },
    { "--against", NDL_OPTION_TEXT, AT(against), EVAL, NULL, 0, 0, "FILE",
      "weights file of the same model to compare with, e.g. before it was "
      "quantised" },
    { "--stride", NDL_OPTION_INT, AT(stride), EVAL, "0", 0, 1 << 24, "N",
      "tokens from the begin of a window to that of the next; 0: CTX, so that "
      "they do not overlap" },
    { "--windows", NDL_OPTION_INT, AT(windows), EVAL, "0", 0, 1 << 24, "N",
      "score so many windows at most; 0: all of the text" },
    { "--logits-file", NDL_OPTION_TEXT, AT(logits_file), EVAL, NULL, 0, 0,
      "FILE", "where the logits of --against are kept meanwhile (default: a "
      "name of its own in this folder); removed at the end" },
    { "-c, --ctx-size", NDL_OPTION_INT, AT(context), EVAL, "0", 0, 1 << 24,
      "CTX", "tokens of a window; 0: the model's, at most 512" },
    { "--chunk", NDL_OPTION_INT, AT(chunk), LOGITS, "128", 1, 65536, "N",
      "rows in one pipeline step, at most" },
    { "-o, --output", NDL_OPTION_TEXT, AT(out),
      IMPORT | SYNTH | EXPORT | QUANTIZE | LOGITS | PROFILE | PLAN | HARDWARE,
      NULL, 0, 0, "FILE", "the file to write (export: the folder)" },
    { "--out", NDL_OPTION_TEXT, AT(out), RUN, NULL, 0, 0, "DIR",
      "also write every text (0001.txt, ...) and run.json into DIR" },
    { "--json", NDL_OPTION_FLAG, AT(json),
      RUN | EVAL | PROFILE | PLAN | HARDWARE, NULL, 0, 0, "",
      "one JSON object instead of text (run: text, ids, timings and plan)" },
    { "--dtype", NDL_OPTION_TEXT, AT(dtype), IMPORT | SYNTH | QUANTIZE | PLAN,
      NULL, 0, 0, "f32|bf16|int8|int8:32|int4", "type of the weights (import: "
      "as the source; synth and --shape: bf16)" },
    { "--keep", NDL_OPTION_TEXT, AT(keep), IMPORT | SYNTH | QUANTIZE, NULL, 0,
      0, "head,v,down=int8", "matrices of another type than --dtype says: "
      "embed, head, qk, v, out, up, down (int8: head,down=int8:32; int4: "
      "head,v=int8; none: no other)" },
    { "--tokenizer", NDL_OPTION_TEXT, AT(tokenizer), SYNTH, NULL, 0, 0, "FILE",
      "tokenizer.json to put in (default: plain bytes)" },
    { "--special", NDL_OPTION_FLAG, AT(special), TOKENIZE, NULL, 0, 0, "",
      "put BOS in front and read special tokens in the text" },
    { "-t, --threads", NDL_OPTION_INT, AT(threads),
      RUN | LOGITS | EVAL | PROFILE, "0", 0, 4096, "N",
      "threads of each stage; 0: the processors it may use, shared" },
    { "-c, --ctx-size", NDL_OPTION_INT, AT(context),
      RUN | LOGITS | PROFILE | PLAN, "0", 0, 1 << 24, "N",
      "positions of a sequence; 0: the model's, at most 4096" },
    { "-b, --batch-size", NDL_OPTION_INT, AT(rows),
      RUN | EVAL | PROFILE | PLAN, "128", 1, 65536, "ROWS",
      "rows in one pipeline step, at most" },
    { "-np, --parallel", NDL_OPTION_INT, AT(parallel), RUN | PROFILE | PLAN,
      "0", 0, 65536, "N", "sequences at the same time; 0: the prompts, at most "
      "16 (--requests: 32); plan: 16" },
    { "--split", NDL_OPTION_TEXT, AT(split), RUN | LOGITS | EVAL, NULL, 0, 0,
      "3,2,3",
      "blocks of each stage; the embedding goes with the first, the head with "
      "the last; a last 0 is a stage of the head alone" },
    { "--plan", NDL_OPTION_TEXT, AT(plan), RUN, NULL, 0, 0,
      "estimate|measure|FILE", "where the plan comes from: equal parameters; a "
      "probe of all ranks (default where two or more may host stages, without "
      "--split); a file with a profile or a plan" },
    { "--save-profile", NDL_OPTION_TEXT, AT(save_profile), RUN, NULL, 0, 0,
      "FILE", "keep what the probe measured, for --plan FILE" },
    { "--load", NDL_OPTION_TEXT, AT(load), RUN | PROFILE | BENCH, "auto", 0, 0,
      "auto|map|copy", "map the weights, or copy them into huge pages; auto "
      "takes what reads faster here" },
    { "--stage-in", NDL_OPTION_TEXT, AT(stage_in), RUN, NULL, 0, 0, "DIR",
      "each rank copies its part of the weights into this folder of its node "
      "first" },
    { "--metrics", NDL_OPTION_TEXT, AT(metrics), RUN, NULL, 0, 0, "FILE|off",
      "where the time of every step and layer is written (default: metrics.h5 "
      "in --out or here; under Slurm metrics-JOBID.h5)" },
    { "--rank0", NDL_OPTION_TEXT, AT(rank0), RUN | PROFILE, "dedicated", 0, 0,
      "dedicated|shared", "dedicated: rank 0 only schedules, so that N ranks "
      "give N - 1 stages at most; shared: it hosts one too; alone it does both "
      "anyway" },
    { "--groups", NDL_OPTION_INT, AT(groups), RUN, "0", 0, 4098, "N",
      "batches into which the running sequences are divided, so that stages "
      "work on several at once; 0: as many as pay, by the times measured" },
    { "--stall-ms", NDL_OPTION_REAL, AT(stall_ms), RUN, "0", 0, 1e9, "MS",
      "prompts that come in may make a running text wait so many milliseconds "
      "for its next token, as far as times can be foretold; prompts take the "
      "longer the less it is; 0: about twice as long as without them" },
    { "--kv-size", NDL_OPTION_INT, AT(kv_size), RUN, "0", 0, 2147483647,
      "N", "positions of the KV cache, shared by all sequences, at least those "
      "of one context; less takes less memory, and when they run out the "
      "youngest waits and is computed anew; 0: a whole context for each" },
    { "--no-prefix-reuse", NDL_OPTION_FLAG, AT(no_reuse), RUN, NULL, 0, 0, "",
      "compute equal beginnings of prompts again for each: slower, with the "
      "same text" },
    { "--emulate", NDL_OPTION_LIST, AT(emulate), RUN | PROFILE, NULL, 0, 0,
      "WHAT",
      "see what slow parts would cost: make a rank slower by waiting "
      "(rank=2,speed=0.2 is a fifth of its speed), or a link, both ways "
      "(link=1-2,delay=1ms,bandwidth=1GB/s); * is any rank; may be repeated" },
    { "--shape", NDL_OPTION_TEXT, AT(shape), PLAN, NULL, 0, 0, "NAME",
      "plan for a known model (noodle-mpi help synth) or a config.json instead "
      "of a weights file" },
    { "--nodes", NDL_OPTION_TEXT, AT(nodes), PLAN, NULL, 0, 0, "FILE",
      "the nodes to plan for, YAML or JSON" },
    { "--profile", NDL_OPTION_TEXT, AT(profile), PLAN, NULL, 0, 0, "FILE",
      "plan for the ranks that were measured; beside --nodes: for its like" },
    { "--strategy", NDL_OPTION_TEXT, AT(strategy), RUN | PLAN,
      "throughput", 0, 0, "NAME",
      "throughput, latency, balanced, bottleneck-first or memory-aware" },
    { "--order", NDL_OPTION_TEXT, AT(order), RUN | PLAN, NULL, 0, 0,
      "fixed|free", "stages in the order of the nodes, or in the best "
      "(default: free for --nodes, fixed for measured ranks)" },
    { "--prompt-tokens", NDL_OPTION_INT, AT(prompt_tokens), PLAN, "0", 0,
      1 << 24, "N", "prompt of a request; 0: 512, at most half the context" },
    { "--new-tokens", NDL_OPTION_INT, AT(new_tokens), PLAN, "0", 0, 1 << 24,
      "N", "tokens that a request writes; 0: 128, if they fit" },
    { "--pin", NDL_OPTION_LIST, AT(pin), RUN | PLAN, NULL, 0, 0,
      "head=NODE,0=NODE", "put embed, head or a block on a node (its name, or "
      "a measured rank)" },
    { "--min-stages", NDL_OPTION_INT, AT(min_stages), RUN | PLAN, "0", 0,
      4098, "N", "use at least so many nodes" },
    { "--max-stages", NDL_OPTION_INT, AT(max_stages), RUN | PLAN, "0", 0,
      4098, "N", "use at most so many nodes; 0: no limit" },
    { "--stage-limit", NDL_OPTION_TEXT, AT(stage_limit), RUN | PLAN, NULL,
      0, 0, "20ms", "no stage may take longer for a decode step" },
    { "--read", NDL_OPTION_TEXT, AT(read), PLAN, NULL, 0, 0, "FILE",
      "show a plan that was written with -o" },
    { "-p, --n-prompt", NDL_OPTION_LIST, AT(bench_prompt), BENCH, NULL, 0, 0,
      "512", "tokens of a prompt (pp); 0: no such test (default 512)" },
    { "-n, --n-gen", NDL_OPTION_LIST, AT(bench_gen), BENCH, NULL, 0, 0, "128",
      "tokens to write (tg); 0: no such test (default 128)" },
    { "-pg", NDL_OPTION_LIST, AT(bench_both), BENCH, NULL, 0, 0, "512,128",
      "a prompt and what follows in one test; may be repeated" },
    { "-d, --n-depth", NDL_OPTION_LIST, AT(bench_depth), BENCH, NULL, 0, 0,
      "0", "tokens that each sequence has before a test (default 0)" },
    { "-b, -np, --parallel", NDL_OPTION_LIST, AT(bench_seqs), BENCH, NULL, 0,
      0, "1", "sequences at the same time (default 1)" },
    { "-ub, --batch-size", NDL_OPTION_LIST, AT(bench_rows), BENCH, NULL, 0, 0,
      "128", "rows in one step, at most (default 128)" },
    { "-t, --threads", NDL_OPTION_LIST, AT(bench_threads), BENCH, NULL, 0, 0,
      "1,2", "threads; 0: the processors it may use (default 0)" },
    { "-ctk, --cache-type-k", NDL_OPTION_TEXT, AT(type_k),
      RUN | LOGITS | EVAL | PROFILE | PLAN | BENCH, NULL, 0, 0,
      "f32|bf16|int8", "type of the keys in the KV cache (default: f32 for f32 "
      "weights, else bf16); int8 is about half of bf16" },
    { "-ctv, --cache-type-v", NDL_OPTION_TEXT, AT(type_v),
      RUN | LOGITS | EVAL | PROFILE | PLAN | BENCH, NULL, 0, 0,
      "f32|bf16|int8", "the same of the values; f32 only beside f32" },
    { "-r, --repetitions", NDL_OPTION_INT, AT(bench_repeats), BENCH, "5", 1,
      1000, "N", "runs of each test" },
    { "--delay", NDL_OPTION_REAL, AT(bench_delay), BENCH, "0", 0, 3600, "SEC",
      "wait between tests, for a processor that grows hot" },
    { "--no-warmup", NDL_OPTION_FLAG, AT(bench_no_warmup), BENCH, NULL, 0, 0,
      "", "count the first run too" },
    { "-o, --output", NDL_OPTION_TEXT, AT(bench_format), BENCH, "md", 0, 0,
      "FORMAT", "md, csv, json, jsonl or sql, to stdout" },
    { "-v, --log-level", NDL_OPTION_TEXT, AT(log_level), ALL, NULL, 0, 0,
      "LEVEL", "error, warn (default), info, debug or trace" },
    { "-h, --help", NDL_OPTION_FLAG, AT(help), ALL, NULL, 0, 0, "",
      "this page" },
    { "--version", NDL_OPTION_FLAG, AT(version), ALL, NULL, 0, 0, "",
      "versions of the program and of what it stands on" },
};
const int ndl_n_option_table =
    (int)(sizeof ndl_option_table / sizeof *ndl_option_table);

const ndl_command_entry ndl_command_table[] = {
    [NDL_CMD_RUN] = { "run", "", 0, 0, "continue one prompt or many",
      "Runs the model as a pipeline over the ranks: rank 0 schedules, the\n"
      "others host stages (alone, rank 0 does both).  Text goes to stdout,\n"
      "everything else to stderr.  The text does not depend on the number of\n"
      "ranks, the split, the threads or the other prompts.\n\n"
      "  mpirun -np 4 noodle-mpi run -m llama.h5 -p \"Once upon a time\"\n"
      "  mpirun -np 3 noodle-mpi run -m llama.h5 --prompts ask.txt --out said\n"
      "  noodle-mpi run -m gpt2.h5 -f essay.txt --temp 0 --json\n"
      "  mpirun -np 9 noodle-mpi run -m llama.h5 --requests ask.jsonl \\\n"
      "      -o said.jsonl\n\n"
      "--requests takes thousands.  A line of FILE.jsonl is a prompt, an\n"
      "object with one, or a line of an OpenAI batch file:\n\n"
      "  \"Once upon a time\"\n"
      "  {\"custom_id\": \"a\", \"prompt\": \"Yes.\", \"max_tokens\": 20}\n"
      "  {\"custom_id\": \"b\", \"url\": \"/v1/completions\","
      " \"body\": {...}}\n\n"
      "It may say prompt (text, or a list of ids), max_tokens, temperature,\n"
      "top_p, top_k, min_p, seed, stop (up to 4 strings), logprobs (0 to 20)\n"
      "and ignore_eos; what it leaves out is as in the options.  Each gets\n"
      "one line in OUT.jsonl as soon as it is done: with its custom_id\n"
      "(\"line-17\" if it has none), and a response, or an error if the line\n"
      "is bad, its prompt too long, or its result over 64 MiB.  Such errors\n"
      "end nothing, and the exit code is 0.  Whatever ends the run, the same\n"
      "command goes on with what is left.  To have a request run again,\n"
      "remove its line from OUT.jsonl.\n" },
    [NDL_CMD_IMPORT] = { "import", "HF_DIR", 1, 1,
      "make a weights file from a Hugging Face directory",
      "HF_DIR holds config.json, tokenizer.json and model.safetensors or\n"
      "its shards.  Families: gpt2, llama, qwen2.  The weights are laid out\n"
      "once as the kernels read them, so that a run maps them without a\n"
      "copy.\n\n"
      "  noodle-mpi import ~/models/Llama-3.2-1B -o llama.h5\n"
      "  noodle-mpi import ~/models/gpt2 -o gpt2.h5 --dtype bf16\n" },
    [NDL_CMD_SYNTH] = { "synth", "SHAPE", 1, 1,
      "make a weights file of random numbers, for speed tests",
      "SHAPE is the name of a known model: gpt2-124m, gpt2-774m,\n"
      "tinyllama-1.1b, llama-3.2-1b, llama-3.1-8b, llama-3.1-70b,\n"
      "qwen2.5-7b.  The same seed gives the same file.\n\n"
      "  noodle-mpi synth tinyllama-1.1b -o random.h5 --dtype bf16\n" },
    [NDL_CMD_EXPORT] = { "export", "FILE", 1, 1,
      "make a Hugging Face directory from a weights file",
      "What was imported comes back: config.json, tokenizer.json and\n"
      "model.safetensors, in shards of at most 5 GB, with every tensor as it\n"
      "was, to the bit.  A file that was imported with another --dtype comes\n"
      "back as it is stored.\n\n"
      "  noodle-mpi export llama.h5 -o Llama-3.2-1B\n" },
    [NDL_CMD_QUANTIZE] = { "quantize", "FILE", 1, 1,
      "make a weights file smaller, and the model faster",
      "Rounds the matrices to 8 or 4 bits, in blocks of 64 or 32 weights that\n"
      "share a scale.  Channels with large gains in a norm are evened out\n"
      "first: a power of two of the gain goes to the columns behind it.  int8\n"
      "hardly changes the text and is a quarter of f32; int4 is half of int8\n"
      "and loses a little, least where the matrices that matter most keep 8\n"
      "bits (--keep).  FILE is f32 or bf16, or int8 to make int4 of it.\n\n"
      "  noodle-mpi quantize llama.h5 -o llama-int8.h5 --dtype int8\n"
      "  noodle-mpi quantize llama.h5 -o llama-int4.h5 --dtype int4 \\\n"
      "      --keep head,v,down=int8\n" },
    [NDL_CMD_LOGITS] = { "logits", "", 0, 0,
      "write the logits of every position as a NumPy file",
      "The file gets float32 [tokens, vocabulary], from the last stage.\n\n"
      "  mpirun -np 4 noodle-mpi logits -m gpt2.h5 --ids 464,2068 -o x.npy\n" },
    [NDL_CMD_EVAL] = { "eval", "", 0, 0,
      "perplexity of a text, and what quantising has changed",
      "The text is cut into windows of CTX tokens that know nothing of each\n"
      "other, each beginning with BOS if the model has one (in place of the\n"
      "token there).  The first half of a window only gives context; the\n"
      "tokens of the second half count, as in llama.cpp's perplexity tool,\n"
      "with --stride N the last N of them at most, so that none counts twice.\n"
      "A rest that fills no window is left out.  Perplexity is exp of the\n"
      "mean of -log(probability of the token that comes), +- its standard\n"
      "error.  Compare only values of the same text, CTX and tokenizer.\n\n"
      "--against FILE runs that model first (the base) and keeps its logits,\n"
      "4 bytes x vocabulary for every token that counts; see --windows and\n"
      "--logits-file.  Then -m is run and compared token by token: the ratio\n"
      "of the perplexities, KL(base || this) of the distributions (0: the\n"
      "same), how often both have the same likeliest token, the largest\n"
      "difference of a logit, and the mean and RMS change of the\n"
      "probability of the token that comes.  -ctk and -ctv are for -m; the\n"
      "base keeps the types that it has by default, so that a model --against\n"
      "itself shows what they change.  With several nodes\n"
      "--logits-file must be in a folder that all have, unless the last rank\n"
      "hosts the head both times.\n\n"
      "The numbers are the same on any number of ranks, to the last digit.\n\n"
      "  noodle-mpi eval -m llama.h5 -f wiki.test.raw\n"
      "  mpirun -np 4 noodle-mpi eval -m llama-int8.h5 -f wiki.test.raw \\\n"
      "      --against llama.h5 --windows 40 --json\n" },
    [NDL_CMD_TOKENIZE] = { "tokenize", "TEXT", 1, 1,
      "show the token ids of a text",
      "  noodle-mpi tokenize -m gpt2.h5 \"Hello world\"\n" },
    [NDL_CMD_INSPECT] = { "inspect", "FILE", 1, 1,
      "show what a weights file holds",
      "  noodle-mpi inspect gpt2.h5\n" },
    [NDL_CMD_CHECK] = { "check", "FILE", 1, 1,
      "verify every checksum of a weights file",
      "  noodle-mpi check gpt2.h5\n" },
    [NDL_CMD_PROFILE] = { "profile", "", 0, 0,
      "measure what layers and links take on all ranks",
      "Runs a probe of synthetic weights of the model's shape on every rank\n"
      "that may host a stage, prints what it measured, and keeps it for\n"
      "`run --plan FILE`, which refuses it when something has changed.\n\n"
      "  mpirun -np 4 noodle-mpi profile -m llama.h5 -o llama.profile.h5\n" },
    [NDL_CMD_PLAN] = { "plan", "", 0, 0,
      "say which nodes would host which layers, and how fast",
      "Answers without running anything, and for --shape without weights: how\n"
      "many nodes does a model need, what would it give, and what bounds it.\n"
      "The nodes are ranks that were measured (--profile), or described by\n"
      "what they can do (--nodes), where times are estimates:\n\n"
      "  link: {latency: 2us, bandwidth: 12 GB/s}    # between any two\n"
      "  nodes:\n"
      "    - {name: big, count: 4, memory: 512 GiB, threads: 64,\n"
      "       compute: 4 TFLOP/s, bandwidth: 400 GB/s}\n"
      "    - {name: old, count: 8, memory: 128 GiB, like: node17, speed: 0.5}\n"
      "  links:\n"
      "    - {from: big, to: old, latency: 5us, bandwidth: 3 GB/s}\n\n"
      "compute is in the weights' dtype, bandwidth that of the memory; `like`\n"
      "takes the times of a host of the --profile.  Optional: count, threads,\n"
      "type (cpu, gpu, igpu, any), overhead of a layer (10us), and links\n"
      "(10 Gbit/s Ethernet: 20us, 1.25 GB/s).\n\n"
      "  noodle-mpi plan --shape llama-3.2-1b --nodes nodes.yaml\n"
      "  noodle-mpi plan -m llama.h5 --profile llama.profile.h5 -o plan.json\n"
      "  mpirun -np 4 noodle-mpi run -m llama.h5 --plan plan.json\n" },
    [NDL_CMD_HARDWARE] = { "hardware", "", 0, 0,
      "show what the nodes are made of and can do",
      "For every node: processors, caches, memory and GPUs.  For every rank,\n"
      "measured on all ranks at the same time with the threads that it would\n"
      "have as a stage: the peaks of f32, bf16 and int8 arithmetic and the\n"
      "bandwidth of reading memory.  For every two ranks: latency and\n"
      "bandwidth one way; for more than 8 ranks the least, the median and the\n"
      "greatest of the links, and for more than 64 one rank of a node is\n"
      "measured for all of it.  Takes about a second.\n\n"
      "A prompt is bound by the peak of the weights' dtype, a single token by\n"
      "the reading: weights / bandwidth is the least time that it takes.  A\n"
      "rank with fewer threads than its share of the node is bound to too few\n"
      "cores by the launcher: see --bind-to and --cpus-per-task.\n\n"
      "  noodle-mpi hardware\n"
      "  mpirun -np 4 noodle-mpi hardware\n"
      "  srun -N 16 -n 32 noodle-mpi hardware --json -o nodes.json\n" },
    [NDL_CMD_BENCH] = { "bench", "", 0, 0,
      "measure how fast one rank runs a model",
      "Runs prompts (pp) and generation (tg) on this machine alone, without\n"
      "pipeline and sampler, for all combinations of threads, sequences and\n"
      "depths.  Options, columns and formats are like those of llama-bench,\n"
      "but -b is sequences and -ub is rows; tokens a second are those of all\n"
      "sequences together.  Numbers may be lists (1,4,16), ranges (1-8,\n"
      "0-4096+1024, 1-64*2), or the option may be repeated.\n\n"
      "Behind each rate stand its shares of what the same threads calculate\n"
      "and read at most, measured between the repeats: a prompt should come\n"
      "near the one (flop %), a single sequence near the other (read %).\n"
      "Where both are low, threads wait: try fewer, or more sequences; read %\n"
      "above 100 means that the weights stay in the caches.\n\n"
      "  noodle-mpi bench -m llama.h5\n"
      "  noodle-mpi bench -m llama.h5 -p 0 -b 1,4,16 -t 1-8*2\n"
      "  noodle-mpi bench -m llama.h5 -d 0,4096 -pg 512,128 -r 10 -o csv\n"
      "  noodle-mpi bench -m llama.h5 -o sql | sqlite3 bench.db\n" },
    [NDL_CMD_HELP] = { "help", "[COMMAND]", 0, 1, "show a command's page", "" },
};
/* clang-format on */
