package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

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

// A usageError is a mistake in the flags or arguments.
type usageError string

func (e usageError) Error() string { return string(e) }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

func (c *call) printHelp() {
	fmt.Fprintf(c.stdout, "%s\n\nusage: go run . %s %s\n", c.summary, c.name, c.usage)
	if c.example != "" {
		fmt.Fprintf(c.stdout, "example: go run . %s %s\n", c.name, c.example)
	}
	fmt.Fprintln(c.stdout)
	c.flags.SetOutput(c.stdout)
	c.flags.PrintDefaults()
}

// parse parses the flags; what is left has to be this number of arguments, and the
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

// given are the flags that have been set.
func (c *call) given() map[string]bool {
	given := map[string]bool{}
	c.flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	return given
}

// note writes a line to standard error.
func (c *call) note(format string, args ...any) {
	fmt.Fprintf(c.stderr, format+"\n", args...)
}

// warn writes a line that begins with "warning".
func (c *call) warn(format string, args ...any) { c.note("warning: "+format, args...) }

// untilInterrupted is a context that ends with the first Ctrl-C or request to stop. A
// second one stops the program at once.
func untilInterrupted() (ctx context.Context, stop context.CancelFunc) {
	ctx, stop = signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// readInput parses a file, or - for standard input.
func readInput[T any](c *call, name string, parse func(io.Reader) (T, error)) (value T, err error) {
	err = readFile(name, c.stdin, func(r io.Reader) (err error) {
		value, err = parse(bufio.NewReader(r))
		return err
	})
	return value, err
}

// eachInput calls use for the text of the arguments, a pair if there are two, or
// for each line of standard input, where a tab parts the two of a pair.
func (c *call) eachInput(use func(out io.Writer, a, b string) error) error {
	out := bufio.NewWriter(c.stdout)
	switch len(c.args) {
	case 2:
		return errors.Join(use(out, c.args[0], c.args[1]), out.Flush())
	case 1:
		a, b, _ := strings.Cut(c.args[0], "\t")
		return errors.Join(use(out, a, b), out.Flush())
	}
	in := bufio.NewReader(c.stdin)
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if err != nil && err != io.EOF || line == "" {
			return errors.Join(ignoreEOF(err), out.Flush())
		}
		a, b, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "\t")
		if err := use(out, a, b); err != nil {
			return errors.Join(out.Flush(), fmt.Errorf("standard input, line %d: %w", n, err))
		}
		if in.Buffered() == 0 { // whoever is waiting for the answer
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// loadModel reads a model folder, and says what is not in it.
func (c *call) loadModel(dir string) (*Model, *Tokenizer, error) {
	m, t, fresh, err := LoadModel(dir)
	if len(fresh) > 0 {
		c.note("%s has not %s: new, and not trained", dir, strings.Join(fresh, " and "))
	}
	return m, t, err
}

// commandsFor are the commands for each kind of model.
var commandsFor = map[string]string{
	preTraining:    "fill, next, eval, embed, explain and finetune",
	classification: "classify, embed and explain",
	answering:      "answer, embed and explain",
}

// loadFor loads a model for a command that needs this architecture.
func (c *call) loadFor(dir, wanted string) (*Model, *Tokenizer, error) {
	m, t, err := c.loadModel(dir)
	if err != nil {
		return nil, nil, err
	}
	if is := m.Config.Architecture(); is != wanted {
		return nil, nil, fmt.Errorf("%s is a %s, which is for %s; this command wants a %s", dir, is, commandsFor[is], wanted)
	}
	return m, t, m.canTakePairs(dir)
}

// canTakePairs returns an error if the model is too short for [CLS] A [SEP] B [SEP].
func (m *Model) canTakePairs(dir string) error {
	if n := m.Config.MaxPositionEmbeddings; n < minSeq {
		return fmt.Errorf("%s: max_position_embeddings is %d, want %d or more", dir, n, minSeq)
	}
	return nil
}

// checkLength returns an error if sequences of maxSeq tokens cannot be.
func (m *Model) checkLength(maxSeq int) error {
	if positions := m.Config.MaxPositionEmbeddings; maxSeq < minSeq || maxSeq > positions {
		return usagef("-max-seq is %d, want %d to the model's %d positions", maxSeq, minSeq, positions)
	}
	return nil
}

// sequence encodes a text for the model, and says so if it had to be cut.
func (c *call) sequence(m *Model, t *Tokenizer, a, b string) (ids, segments []int32, err error) {
	if strings.TrimSpace(a) == "" {
		return nil, nil, errors.New("there is no text")
	}
	ids, segments, cut := t.Sequence(a, b, m.Config.MaxPositionEmbeddings)
	if cut > 0 {
		c.note("a text has %d tokens, the model %d positions: %d tokens were cut off", len(ids)+cut, len(ids), cut)
	}
	return ids, segments, nil
}

// limitFlags are -max-seq, -overlap and -max-answer, and a function that returns them for
// a model once they are parsed; maxSeq is for where -max-seq is not given.
func (c *call) limitFlags() func(m *Model, maxSeq int) (Limits, error) {
	var given Limits
	c.flags.IntVar(&given.MaxSeq, "max-seq", 0, "most tokens of a sequence (0: 384 or the model's positions; with labels 128)")
	c.flags.IntVar(&given.Overlap, "overlap", -1, "tokens that two windows of a long context share (-1: a third of -max-seq)")
	c.flags.IntVar(&given.MaxAnswer, "max-answer", 0, "most tokens of an answer (0: 30)")
	return func(m *Model, maxSeq int) (Limits, error) {
		l := DefaultLimits(min(maxSeq, m.Config.MaxPositionEmbeddings))
		if given.MaxSeq != 0 {
			l.MaxSeq, l.Overlap = given.MaxSeq, given.MaxSeq/3
		}
		if given.Overlap >= 0 {
			l.Overlap = given.Overlap
		}
		if given.MaxAnswer != 0 {
			l.MaxAnswer = given.MaxAnswer
		}
		if l.MaxAnswer < 1 || given.Overlap < -1 {
			return l, usagef("-max-answer is %d and -overlap %d, want more", given.MaxAnswer, given.Overlap)
		}
		return l, m.checkLength(l.MaxSeq)
	}
}
