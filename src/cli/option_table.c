/* option_table.c - every option and every command, once. */
#include "option_table.h"

#include "options.h"

#define RUN      (1u << NDL_CMD_RUN)
#define IMPORT   (1u << NDL_CMD_IMPORT)
#define SYNTH    (1u << NDL_CMD_SYNTH)
#define LOGITS   (1u << NDL_CMD_LOGITS)
#define TOKENIZE (1u << NDL_CMD_TOKENIZE)
#define ALL      ((1u << NDL_N_COMMANDS) - 1)

#define AT(field) offsetof(ndl_options, field)

/* clang-format off */
const ndl_option ndl_option_table[] = {
    { "-m, --model", NDL_OPTION_TEXT, AT(model), RUN | LOGITS | TOKENIZE, NULL,
      0, 0, "FILE", "weights file (default: the bundled model)" },
    { "-p, --prompt", NDL_OPTION_TEXT, AT(prompt), RUN, NULL, 0, 0, "TEXT",
      "the prompt" },
    { "-f, --file", NDL_OPTION_TEXT, AT(file), RUN, NULL, 0, 0, "FILE",
      "a file that is one whole prompt" },
    { "--prompts", NDL_OPTION_TEXT, AT(prompts), RUN, NULL, 0, 0, "FILE",
      "a file with one prompt a line; all are run" },
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
    { "--chunk", NDL_OPTION_INT, AT(chunk), LOGITS, "128", 1, 65536, "N",
      "rows in one pipeline step, at most" },
    { "-o, --output", NDL_OPTION_TEXT, AT(out), IMPORT | SYNTH | LOGITS, NULL,
      0, 0, "FILE", "the file to write" },
    { "--out", NDL_OPTION_TEXT, AT(out), RUN, NULL, 0, 0, "DIR",
      "also write every text (0001.txt, ...) and run.json into DIR" },
    { "--json", NDL_OPTION_FLAG, AT(json), RUN, NULL, 0, 0, "",
      "one JSON object with text, ids, timings and plan instead of text" },
    { "--dtype", NDL_OPTION_TEXT, AT(dtype), IMPORT | SYNTH, NULL, 0, 0,
      "f32|bf16", "type of the weights (import: as the source; synth: bf16)" },
    { "--tokenizer", NDL_OPTION_TEXT, AT(tokenizer), SYNTH, NULL, 0, 0, "FILE",
      "tokenizer.json to put in (default: plain bytes)" },
    { "--special", NDL_OPTION_FLAG, AT(special), TOKENIZE, NULL, 0, 0, "",
      "put BOS in front and read special tokens in the text" },
    { "-t, --threads", NDL_OPTION_INT, AT(threads), RUN | LOGITS, "0", 0, 4096,
      "N", "threads of each stage; 0: the processors it may use, shared" },
    { "-c, --ctx-size", NDL_OPTION_INT, AT(context), RUN | LOGITS, "0", 0,
      1 << 24, "N", "positions of a sequence; 0: the model's, at most 4096" },
    { "-b, --batch-size", NDL_OPTION_INT, AT(rows), RUN, "128", 1, 65536,
      "ROWS", "rows in one pipeline step, at most" },
    { "-np, --parallel", NDL_OPTION_INT, AT(parallel), RUN, "0", 0, 65536,
      "N", "sequences at the same time; 0: the prompts, at most 16" },
    { "--split", NDL_OPTION_TEXT, AT(split), RUN | LOGITS, NULL, 0, 0, "3,2,3",
      "blocks of each stage; the embedding goes with the first, the head with "
      "the last; a last 0 is a stage of the head alone" },
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
      "  noodle-mpi run -m gpt2.h5 -f essay.txt --temp 0 --json\n" },
    [NDL_CMD_IMPORT] = { "import", "HF_DIR", 1, 1,
      "make a weights file from a Hugging Face directory",
      "HF_DIR holds config.json, tokenizer.json and model.safetensors or\n"
      "its shards.  Families: gpt2, llama.  The weights are laid out once as\n"
      "the kernels read them, so that a run maps them without a copy.\n\n"
      "  noodle-mpi import ~/models/Llama-3.2-1B -o llama.h5\n"
      "  noodle-mpi import ~/models/gpt2 -o gpt2.h5 --dtype bf16\n" },
    [NDL_CMD_SYNTH] = { "synth", "SHAPE", 1, 1,
      "make a weights file of random numbers, for speed tests",
      "SHAPE is the name of a known model: gpt2-124m, tinyllama-1.1b,\n"
      "llama-3.2-1b.  The same seed gives the same file.\n\n"
      "  noodle-mpi synth tinyllama-1.1b -o random.h5 --dtype bf16\n" },
    [NDL_CMD_LOGITS] = { "logits", "", 0, 0,
      "write the logits of every position as a NumPy file",
      "The file gets float32 [tokens, vocabulary], from the last stage.\n\n"
      "  mpirun -np 4 noodle-mpi logits -m gpt2.h5 --ids 464,2068 -o x.npy\n" },
    [NDL_CMD_TOKENIZE] = { "tokenize", "TEXT", 1, 1,
      "show the token ids of a text",
      "  noodle-mpi tokenize -m gpt2.h5 \"Hello world\"\n" },
    [NDL_CMD_INSPECT] = { "inspect", "FILE", 1, 1,
      "show what a weights file holds",
      "  noodle-mpi inspect gpt2.h5\n" },
    [NDL_CMD_CHECK] = { "check", "FILE", 1, 1,
      "verify every checksum of a weights file",
      "  noodle-mpi check gpt2.h5\n" },
    [NDL_CMD_HELP] = { "help", "[COMMAND]", 0, 1, "show a command's page", "" },
};
/* clang-format on */
