package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"text/tabwriter"
)

// The commands, all of them: go run . COMMAND begins here.

func commands() []*command {
	return []*command{
		{"demo", "[-out DIR]", "pre-train a tiny BERT on the built-in corpus and see what it learns", "", demo},
		{"explain", "(-model DIR | -vocab FILE) A [B]", "each step, for sentences of your own: tokens, embeddings, attention, guesses", `-model run/demo "Nora bakes bread." "The [MASK] is warm."`, explain},
		{"report", "-model DIR [-out FILE]", "the lesson in pictures, of any model: an HTML page", "-model run/demo", reportCommand},
		{"pretrain", "-corpus FILE -out DIR [flags]", "pre-train a model", "-corpus corpus.txt -out run/mine -steps 500", pretrain},
		{"eval", "-model DIR (-corpus FILE | -examples FILE)", "losses and accuracies of a model", "-model run/demo -corpus corpus.txt", eval},
		{"fill", "-model DIR [TEXT]", "the best tokens for each [MASK] of a text", `-model run/demo "The boat of Tom is the [MASK]."`, fill},
		{"next", "-model DIR [A B]", "is B the sentence after A?", `-model run/demo "Nora lights the oven." "Soon the bread is warm."`, next},
		{"embed", "-model DIR [TEXT]", "vectors for texts, in JSON lines", "-model run/demo < text.txt", embed},
		{"finetune", "-model DIR -task TASK -train FILE -out DIR", "fine-tune a model for a task", "-model run/demo -task classify -train task.tsv -out run/topics", finetune},
		{"classify", "-model DIR [TEXT | A B]", "labels or a number for a text or a pair", `-model run/topics "Hugo tunes the piano."`, classify},
		{"tag", "-model DIR [TEXT]", "names and other things in a text, or a label for each word", `-model run/names "Nora Berg lives in Old Mill."`, tag},
		{"answer", "-model DIR -context FILE [QUESTION]", "the answer to a question, from a text", `-model run/answers -context text.txt "Who tunes the piano?"`, answer},
		{"tokenize", "(-model DIR | -vocab FILE) [-ids] [-offsets]", "tokens of each line of standard input", "-model run/demo < text.txt", tokenize},
		{"vocab", "-corpus FILE (-out FILE | -show N)", "train a WordPiece vocabulary, or show how it is learnt", "-corpus corpus.txt -size 2000 -show 10", vocab},
		{"examples", "-corpus FILE (-model DIR | -vocab FILE)", "the pre-training examples of one epoch, in JSON lines", "-corpus corpus.txt -model run/demo", examples},
	}
}

func main() {
	if limit, _ := memoryLimit(); int64(limit) < debug.SetMemoryLimit(-1) { // garbage is collected before there is no more
		debug.SetMemoryLimit(int64(0.95 * limit))
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// An output is standard output. It keeps the first error, whether or not anybody asks for it,
// and then writes nothing more.
type output struct {
	to  io.Writer
	err error
}

func (o *output) Write(p []byte) (n int, err error) {
	if o.err == nil {
		n, err = o.to.Write(p)
		o.err = wrap("standard output", err)
	}
	return n, o.err
}

// run runs the command that args name and returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	name, out := "demo", &output{to: stdout}
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
		c := &call{command: command, flags: flag.NewFlagSet(name, flag.ContinueOnError), line: args, args: args, stdin: stdin, stdout: out, stderr: stderr}
		c.flags.SetOutput(io.Discard)
		defer c.obeySignals()()
		err := command.run(c)
		if c.invalid > 0 {
			c.note("%d bytes of the text are not UTF-8 and were read as U+FFFD", c.invalid)
		}
		if errors.Is(err, flag.ErrHelp) {
			c.printHelp()
			err = nil
		}
		// A reader that has gone is no failure of those that do not ask, such as a training.
		if out.err != nil && (err == nil && !errors.Is(out.err, syscall.EPIPE) || errors.Is(err, out.err)) {
			err = out.err // once
		}
		if err == nil {
			return exitDone
		}
		var usage usageError
		status, hint := exitFailed, ""
		if errors.Is(err, errInterrupted) {
			status = exitInterrupted
		} else if errors.As(err, &usage) {
			status, hint = exitUsage, fmt.Sprintf(" (go run . %s -h tells more)", name)
		}
		fmt.Fprintf(stderr, "%s: %s%s\n", name, readable(err), hint)
		return status
	}
	fmt.Fprintf(stderr, "there is no command %q (go run . -h lists them)\n", name)
	return exitUsage
}

func printUsage(w io.Writer) {
	fmt.Fprint(w, "Pre-training BERT from scratch.\n\nusage: go run . [COMMAND] [flags] [arguments]\n\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range commands() {
		fmt.Fprintf(table, "  %s\t%s\n", c.name, c.summary)
	}
	table.Flush()
	fmt.Fprint(w, "\nWithout a command it is demo. go run . COMMAND -h tells more.\n")
}
