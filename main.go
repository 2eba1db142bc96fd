package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
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
		{"pretrain", "-corpus FILE -out DIR [flags]", "pre-train a model", "-corpus corpus.txt -out run/mine -steps 500", pretrain},
		{"eval", "-model DIR (-corpus FILE | -examples FILE)", "losses and accuracies of a model", "-model run/demo -corpus corpus.txt", eval},
		{"fill", "-model DIR TEXT", "the best tokens for each [MASK] of a text", `-model run/demo "The boat of Tom is the [MASK]."`, fill},
		{"next", "-model DIR A B", "is B the sentence after A?", `-model run/demo "Nora lights the oven." "Soon the bread is warm."`, next},
		{"tokenize", "(-model DIR | -vocab FILE) [-ids]", "tokens of each line of standard input", "-model run/demo < text.txt", tokenize},
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
	if len(c.args) != arguments {
		return usagef("there are %d arguments, want %d: %s", len(c.args), arguments, c.usage)
	}
	return nil
}

// note writes a line to standard error.
func (c *call) note(format string, args ...any) {
	fmt.Fprintf(c.stderr, format+"\n", args...)
}

// readText reads a corpus: a file, a folder of files, or - for standard input.
func (c *call) readText(name string) (*Text, error) {
	text, err := ReadCorpus(name, c.stdin)
	if err != nil {
		return nil, err
	}
	if text.Invalid > 0 {
		c.note("%s: %d bytes are not UTF-8 and were read as U+FFFD", name, text.Invalid)
	}
	return text, nil
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

func vocab(c *call) error {
	corpus := c.flags.String("corpus", "", "text `FILE`, folder, or - for standard input")
	size := c.flags.Int("size", 8000, "most words in the vocabulary")
	out := c.flags.String("out", "", "`FILE` to write, a word a line")
	cased := c.flags.Bool("cased", false, "keep case and accents")
	if err := c.parse(0, "corpus", "out"); err != nil {
		return err
	}
	if err := mustNotExist(*out); err != nil {
		return err
	}
	text, err := c.readText(*corpus)
	if err != nil {
		return err
	}
	words, err := TrainVocabulary(CountWords(text, !*cased), *size)
	if err != nil {
		return wrap(*corpus, err)
	}
	return writeFile(*out, func(w io.Writer) error { return WriteVocabulary(w, words) })
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
	if err := c.parse(0); err != nil {
		return err
	}
	t, err := tokenizer()
	if err != nil {
		return err
	}
	in, out := bufio.NewReader(c.stdin), bufio.NewWriter(c.stdout)
	for {
		line, err := in.ReadString('\n')
		if err != nil && err != io.EOF || line == "" {
			return errors.Join(ignoreEOF(err), out.Flush())
		}
		encoded := t.Encode(line)
		if *ids {
			fmt.Fprintln(out, strings.Trim(fmt.Sprint(encoded), "[]"))
		} else {
			fmt.Fprintln(out, strings.Join(t.Tokens(encoded), " "))
		}
	}
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

func fill(c *call) error {
	model := c.flags.String("model", "", "model folder `DIR`")
	best := c.flags.Int("best", 5, "how many tokens for each [MASK]")
	asJSON := c.flags.Bool("json", false, "write one JSON object")
	if err := c.parse(1, "model"); err != nil {
		return err
	}
	m, t, err := c.loadModel(*model)
	if err != nil {
		return err
	}
	ids, segments := t.Pair(t.Encode(c.args[0]), nil)
	ids, segments = c.cut(m, ids, segments)
	masks := m.Fill(t, ids, segments, *best)
	if len(masks) == 0 {
		return fmt.Errorf("there is no [MASK] in the text")
	}
	if *asJSON {
		return json.NewEncoder(c.stdout).Encode(map[string]any{"tokens": t.Tokens(ids), "masks": masks})
	}
	for i, guesses := range masks {
		if i > 0 {
			fmt.Fprintln(c.stdout)
		}
		for _, g := range guesses.Best {
			fmt.Fprintf(c.stdout, "%5.1f%%  %s\n", 100*g.Probability, g.Token)
		}
	}
	return nil
}

// cut shortens a sequence to the model's positions, and says so.
func (c *call) cut(m *Model, ids, segments []int32) ([]int32, []int32) {
	if n := m.Config.MaxPositionEmbeddings; len(ids) > n {
		c.note("the text has %d tokens, the model %d positions: the last %d tokens were cut off", len(ids), n, len(ids)-n)
		return append(ids[:n-1], ids[len(ids)-1]), segments[:n]
	}
	return ids, segments
}

func next(c *call) error {
	model := c.flags.String("model", "", "model folder `DIR`")
	asJSON := c.flags.Bool("json", false, "write one JSON object")
	if err := c.parse(2, "model"); err != nil {
		return err
	}
	m, t, err := c.loadModel(*model)
	if err != nil {
		return err
	}
	a, b := t.Encode(c.args[0]), t.Encode(c.args[1])
	if len(a) == 0 || len(b) == 0 {
		return errors.New("want two sentences, neither of them empty")
	}
	if room := m.Config.MaxPositionEmbeddings - 3; len(a)+len(b) > room {
		c.note("the sentences have %d tokens, the model %d positions: %d tokens were cut off", len(a)+len(b)+3, room+3, len(a)+len(b)-room)
		a, b = truncatePair(a, b, room, func() bool { return false })
	}
	ids, segments := t.Pair(a, b)
	isNext := m.IsNext(ids, segments)
	if *asJSON {
		return json.NewEncoder(c.stdout).Encode(map[string]any{"is_next": isNext, "not_next": 1 - isNext})
	}
	verdict := "IsNext"
	if isNext < 0.5 {
		verdict = "NotNext"
	}
	_, err = fmt.Fprintf(c.stdout, "%s   (B follows A with probability %.1f%%)\n", verdict, 100*isNext)
	return err
}
