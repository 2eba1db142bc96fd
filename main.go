package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
)

// The commands: go run . COMMAND [flags] [arguments]. Results go to standard
// output, progress and errors to standard error.

// Exit statuses.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// A command is one of the things that the program does.
type command struct {
	name    string
	usage   string // its arguments
	summary string
	example string // of arguments
	run     func(c *call) error
}

// A call is a command that is being run.
type call struct {
	*command
	flags          *flag.FlagSet
	args           []string // all of them, then those that are no flags
	stdin          io.Reader
	stdout, stderr io.Writer
}

func commands() []*command {
	return []*command{
		{"demo", "[-out DIR]", "pre-train a tiny BERT on the built-in corpus and see what it learns", "", demo},
		{"explain", "-model DIR A [B]", "each step, for sentences of your own: tokens, embeddings, attention, guesses", `-model run/demo "Nora bakes bread." "The [MASK] is warm."`, explain},
		{"pretrain", "-corpus FILE -out DIR [flags]", "pre-train a model", "-corpus corpus.txt -out run/mine -steps 500", pretrain},
		{"eval", "-model DIR (-corpus FILE | -examples FILE)", "losses and accuracies of a model", "-model run/demo -corpus corpus.txt", eval},
		{"fill", "-model DIR [TEXT]", "the best tokens for each [MASK] of a text", `-model run/demo "The boat of Tom is the [MASK]."`, fill},
		{"next", "-model DIR [A B]", "is B the sentence after A?", `-model run/demo "Nora lights the oven." "Soon the bread is warm."`, next},
		{"embed", "-model DIR [TEXT]", "vectors for texts, in JSON lines", "-model run/demo < text.txt", embed},
		{"finetune", "-model DIR -task classify|answer -train FILE -out DIR", "fine-tune a model for a task", "-model run/demo -task classify -train task.tsv -out run/topics", finetune},
		{"classify", "-model DIR [TEXT | A B]", "label and probabilities of a text or a pair", `-model run/topics "Hugo tunes the piano."`, classify},
		{"answer", "-model DIR -context FILE [QUESTION]", "the answer to a question, from a text", `-model run/answers -context text.txt "Who tunes the piano?"`, answer},
		{"tokenize", "(-model DIR | -vocab FILE) [-ids] [-offsets]", "tokens of each line of standard input", "-model run/demo < text.txt", tokenize},
		{"vocab", "-corpus FILE -out FILE", "train a WordPiece vocabulary", "-corpus corpus.txt -size 2000 -out vocab.txt", vocab},
		{"examples", "-corpus FILE (-model DIR | -vocab FILE)", "the pre-training examples of one epoch, in JSON lines", "-corpus corpus.txt -model run/demo", examples},
	}
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run runs the command that args name and returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	name := "demo"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	} else if len(args) > 0 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help") {
		printUsage(stdout)
		return exitDone
	}
	for _, command := range commands() {
		if command.name != name {
			continue
		}
		c := &call{command, flag.NewFlagSet(name, flag.ContinueOnError), args, stdin, stdout, stderr}
		c.flags.SetOutput(io.Discard)
		err := command.run(c)
		var usage usageError
		switch {
		case err == nil:
			return exitDone
		case errors.Is(err, flag.ErrHelp):
			c.printHelp()
			return exitDone
		case errors.Is(err, errInterrupted):
			fmt.Fprintln(stderr, err)
			return exitInterrupted
		case errors.As(err, &usage):
			fmt.Fprintf(stderr, "%s: %v (go run . %s -h tells more)\n", name, err, name)
			return exitUsage
		default:
			fmt.Fprintf(stderr, "%s: %v\n", name, err)
			return exitFailed
		}
	}
	fmt.Fprintf(stderr, "there is no command %q (go run . -h lists them)\n", name)
	return exitUsage
}

// A usageError is a mistake in the flags or arguments.
type usageError string

func (e usageError) Error() string { return string(e) }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// errInterrupted is the error when training was interrupted from the keyboard.
var errInterrupted = errors.New("interrupted")

func printUsage(w io.Writer) {
	fmt.Fprint(w, "Pre-training BERT from scratch.\n\nusage: go run . [COMMAND] [flags] [arguments]\n\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range commands() {
		fmt.Fprintf(table, "  %s\t%s\n", c.name, c.summary)
	}
	table.Flush()
	fmt.Fprint(w, "\nWithout a command it is demo. go run . COMMAND -h tells more.\n")
}

func (c *call) printHelp() {
	fmt.Fprintf(c.stdout, "%s\n\nusage: go run . %s %s\n", c.summary, c.name, c.usage)
	if c.example != "" {
		fmt.Fprintf(c.stdout, "example: go run . %s %s\n", c.name, c.example)
	}
	fmt.Fprintln(c.stdout)
	c.flags.SetOutput(c.stdout)
	c.flags.PrintDefaults()
}

// parse parses the flags; what is left has to be so many arguments, and the
// flags that are named have to be given.
func (c *call) parse(arguments int, required ...string) error {
	err := c.parseUpTo(arguments, required...)
	if err == nil && len(c.args) < arguments {
		return usagef("there are %d arguments, want %d: %s", len(c.args), arguments, c.usage)
	}
	return err
}

// parseUpTo is parse for a command that reads standard input if it has no
// arguments.
func (c *call) parseUpTo(arguments int, required ...string) error {
	if err := c.flags.Parse(c.args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return usageError(err.Error())
	}
	c.args = c.flags.Args()
	for _, name := range required {
		if c.flags.Lookup(name).Value.String() == "" {
			return usagef("-%s is missing", name)
		}
	}
	if n := len(c.args); n > arguments {
		return usagef("there are %d arguments, want at most %d: %s", n, arguments, c.usage)
	}
	return nil
}

// note writes a line to standard error.
func (c *call) note(format string, args ...any) {
	fmt.Fprintf(c.stderr, format+"\n", args...)
}

// tokenizerFlags are -model and -vocab, one of which a command needs.
func (c *call) tokenizerFlags() func() (*Tokenizer, error) {
	model := c.flags.String("model", "", "model folder `DIR`")
	vocab := c.flags.String("vocab", "", "vocabulary `FILE` instead")
	cased := c.flags.Bool("cased", false, "with -vocab: keep case and accents")
	return func() (*Tokenizer, error) {
		switch {
		case (*model == "") == (*vocab == ""):
			return nil, usagef("want either -model or -vocab")
		case *model != "":
			return LoadTokenizer(*model)
		}
		return LoadVocabulary(*vocab, !*cased)
	}
}

func mustNotExist(name string) error {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s exists already, and is not overwritten", name)
	}
	return nil
}

func tokenize(c *call) error {
	tokenizer := c.tokenizerFlags()
	ids := c.flags.Bool("ids", false, "write ids instead of tokens")
	offsets := c.flags.Bool("offsets", false, "write after each token the bytes of the line that it came from: play:3-7")
	if err := c.parse(0); err != nil {
		return err
	}
	t, err := tokenizer()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(c.stdout)
	separator := ""
	write := func(id int32) {
		out.WriteString(separator)
		separator = " "
		if *ids {
			out.WriteString(strconv.Itoa(int(id)))
		} else {
			out.WriteString(t.Words[id])
		}
	}
	err = eachPart(c.stdin, func(part string, at int) {
		if *offsets {
			found, spans := t.EncodeSpans(part)
			for i, id := range found {
				write(id)
				fmt.Fprintf(out, ":%d-%d", at+spans[i].Begin, at+spans[i].End)
			}
		} else {
			for _, id := range t.Encode(part) {
				write(id)
			}
		}
		if strings.HasSuffix(part, "\n") {
			out.WriteString("\n")
			separator = ""
		}
	})
	return errors.Join(err, out.Flush())
}

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

func examples(c *call) error {
	names := c.corpusFlag()
	tokenizer := c.tokenizerFlags()
	maxSeq := c.flags.Int("max-seq", 128, "most tokens of an example")
	shortSeqProb := c.flags.Float64("short-seq-prob", defaultSettings().ShortSeqProb, "share of pairs that are shorter")
	wholeWords := c.flags.Bool("whole-words", false, "mask whole words, not pieces of them")
	seed := c.flags.Uint64("seed", 1, "seed of pairs and masks")
	if err := c.parse(0, "corpus"); err != nil {
		return err
	}
	if *maxSeq < minSeq {
		return usagef("-max-seq is %d, want %d or more", *maxSeq, minSeq)
	}
	if !isShare(*shortSeqProb) {
		return usagef("-short-seq-prob is %v, want 0 to 1", *shortSeqProb)
	}
	t, err := tokenizer()
	if err != nil {
		return err
	}
	text, err := c.readTokens(*names, t)
	if err != nil {
		return err
	}
	stream := Stream{Corpus: text, Tokenizer: t, Documents: text.AllDocuments(), Seed: *seed, MaxTokens: *maxSeq, ShortSeqProb: *shortSeqProb, WholeWords: *wholeWords}
	out := bufio.NewWriter(c.stdout)
	return errors.Join(WriteExamples(out, stream.Epoch(), t), out.Flush())
}

// checkLength returns an error if sequences of maxSeq tokens cannot be.
func (m *Model) checkLength(maxSeq int) error {
	if positions := m.Config.MaxPositionEmbeddings; maxSeq < minSeq || maxSeq > positions {
		return usagef("-max-seq is %d, want %d to the model's %d positions", maxSeq, minSeq, positions)
	}
	return nil
}

// loadExamples reads a file of examples for a model.
func loadExamples(name string, m *Model) ([]Example, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := ReadExamples(bufio.NewReader(f), m.Config.VocabSize)
	if err != nil {
		return nil, wrap(name, err)
	}
	for i, e := range list {
		if len(e.Tokens) > m.Config.MaxPositionEmbeddings {
			return nil, fmt.Errorf("%s: example %d has %d tokens, the model has %d positions", name, i+1, len(e.Tokens), m.Config.MaxPositionEmbeddings)
		}
	}
	return list, nil
}
