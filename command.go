package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"
)

// The commands, what they share: go run . COMMAND [flags] [arguments]. Results go to
// standard output, progress and errors to standard error.

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
	line, args     []string // all arguments; first all, then those that are no flags
	stdin          io.Reader
	stdout, stderr io.Writer
	saidHidden     bool // noteHidden
	invalid        int  // bytes of countInvalid
	read, counted  int  // bytes of text: so far, and by countWords

	endTraining   atomic.Pointer[context.CancelFunc] // untilInterrupted
	releaseFolder atomic.Pointer[func()]             // claim
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

// parse parses the flags; what is left may be at most this number of arguments, and the
// flags that are named have to be given.
func (c *call) parse(most int, required ...string) error {
	if err := parseFlags(c.flags, c.args); errors.Is(err, flag.ErrHelp) {
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
	if n := len(c.args); n > most {
		return usagef("there are %d arguments, want at most %d: %s", n, most, c.usage)
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

// countInvalid counts what of some text is not UTF-8, which is said when the command ends.
func (c *call) countInvalid(texts ...string) {
	for _, text := range texts {
		c.invalid += invalidBytes(text)
	}
}

// warn writes a line that begins with "warning".
func (c *call) warn(format string, args ...any) { c.note("warning: "+format, args...) }

// readInput parses a file, or - for standard input.
func readInput[T any](c *call, name string, parse func(io.Reader) (T, error)) (value T, err error) {
	err = readFile(name, c.stdin, func(r io.Reader) (err error) {
		value, err = parse(r)
		return err
	})
	return value, err
}

// checkpointsInstead is an error of reading a model folder, or one that says what there is
// instead of a model.
func checkpointsInstead(dir string, err error) error {
	if found := LikeCheckpoints(dir); errors.Is(err, os.ErrNotExist) && len(found) > 0 && !exists(filepath.Join(dir, configFile)) {
		return fmt.Errorf("%s has no model yet, but checkpoints: %s is the newest, and a model folder like any other", dir, found[0])
	}
	return err
}

// commandsFor are the commands for each kind of model.
var commandsFor = map[string]string{
	preTraining:    "fill, next, eval, embed, explain and finetune",
	classification: "classify, embed and explain",
	tagging:        "tag, embed and explain",
	answering:      "answer, embed and explain",
}

// loadModel loads a model for a command that takes any.
func (c *call) loadModel(dir string) (*Model, *Tokenizer, error) { return c.loadFor(dir, "") }

// loadFor loads a model for a command that needs this architecture ("" is any), and of the
// optional parts these, and says what is not in its folder.
func (c *call) loadFor(dir, wanted string, parts ...string) (*Model, *Tokenizer, error) {
	m, t, fresh, err := LoadModel(dir)
	if err != nil {
		return nil, nil, checkpointsInstead(dir, err)
	}
	if is := m.Config.Architecture(); wanted != "" && is != wanted {
		return nil, nil, fmt.Errorf("%s is a %s, which is for %s; this command wants a %s", dir, is, commandsFor[is], wanted)
	}
	for _, part := range parts {
		if slices.Contains(fresh, part) {
			return nil, nil, fmt.Errorf("%s has not %s, without which this command can only guess: pre-train it further (pretrain -init)", dir, part)
		}
	}
	if len(fresh) > 0 {
		c.note("%s has not %s: new, and not trained", dir, strings.Join(fresh, " and "))
	}
	c.noteVocabulary(m, t)
	return m, t, m.canTakePairs(dir)
}

// noteVocabulary says what stands twice in a vocabulary, and that there are fewer words than
// the model has room for, if there is a model.
func (c *call) noteVocabulary(m *Model, t *Tokenizer) {
	if t != nil && t.repeated != "" {
		c.note("the vocabulary: %s", t.repeated)
	}
	if m != nil && len(t.Vocabulary) < m.Config.VocabSize {
		c.note("the vocabulary has %d words, the model room for %d: the rest is never guessed", len(t.Vocabulary), m.Config.VocabSize)
	}
}

// sound returns an error if a result of a model has a number that is none, for which JSON has
// no word: weights that are too large make such.
func sound(result any) error {
	_, err := json.Marshal(result)
	return err
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

var errNoText = errors.New("there is no text")

// sequence encodes a text for the model, and says so if it had to be cut. A text without a token,
// such as one of control characters, is none.
func (c *call) sequence(m *Model, t *Tokenizer, a, b string) (ids, segments []int32, err error) {
	ids, segments, cut := t.Sequence(a, b, m.Config.MaxPositionEmbeddings)
	ofB := slices.Index(segments, 1) // where it begins
	switch {
	case len(ids) == 2: // [CLS] and [SEP]
		return nil, nil, errNoText
	case ofB == 2:
		return nil, nil, errors.New("there is no text before the second")
	case ofB < 0 && strings.TrimSpace(b) != "":
		return nil, nil, errors.New("there is no token in the second text")
	}
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
		l := DefaultLimits(cmp.Or(given.MaxSeq, min(maxSeq, m.Config.MaxPositionEmbeddings)))
		l.MaxAnswer = cmp.Or(given.MaxAnswer, l.MaxAnswer)
		if given.Overlap >= 0 {
			l.Overlap = given.Overlap
		}
		if err := m.checkLength(l.MaxSeq); err != nil {
			return l, err
		}
		if given.MaxAnswer < 0 || l.MaxAnswer > 1<<20 {
			return l, usagef("-max-answer is %d, want 1 to %d, or 0 for 30", given.MaxAnswer, 1<<20)
		}
		if given.Overlap < -1 || l.Overlap >= l.MaxSeq {
			return l, usagef("-overlap is %d, want less than -max-seq, %d, or -1 for a third", given.Overlap, l.MaxSeq)
		}
		return l, nil
	}
}

// reading is a function that tells how much of the text has been read: on
// a terminal in a line that is redrawn, otherwise now and then.
func (c *call) reading(what string) func(bytes int) {
	p, next := newProgress(c.stderr, 0, 0), 1<<28
	return func(bytes int) {
		c.read = bytes
		switch {
		case p.terminal:
			p.redraw("%s: %d MB of text", what, bytes/1_000_000)
		case bytes >= next:
			next = bytes + 1<<28
			c.note("%s: %d MB of text", what, bytes/1_000_000)
		}
	}
}

// corpora are the files and folders of a corpus: a flag that may be given several
// times.
type corpora []string

func (c *corpora) String() string { return strings.Join(*c, ", ") }

func (c *corpora) Set(name string) error {
	switch {
	case name == "":
		return errors.New("want the name of a file or a folder")
	case name == "-" && slices.Contains(*c, name):
		return errors.New("standard input has its text only once")
	}
	*c = append(*c, name)
	return nil
}

// corpusFlag is the flag -corpus.
func (c *call) corpusFlag() *corpora {
	names := &corpora{}
	c.flags.Var(names, "corpus", "text `FILE`, folder, or - for standard input; several if given several times")
	return names
}

// noteHidden says which files of a corpus are passed over, once.
func (c *call) noteHidden(names corpora) {
	for _, name := range names {
		passed := map[string][]string{}
		walk(name, func(string) error { return nil }, func(path, what string) { passed[what] = append(passed[what], path) })
		for _, what := range []string{hiddenNames, notFiles} {
			if paths := passed[what]; len(paths) > 0 && !c.saidHidden {
				c.note("%s: %d %s are passed over, %s first", name, len(paths), what, paths[0])
			}
		}
	}
	c.saidHidden = true
}

// garbagePercent is how much garbage may lie before it is collected, in per cent of what is in use.
const garbagePercent = 30

// littleGarbage lets less garbage lie, for commands that hold a long text: tokens and
// parameters hold no pointers, so that collecting costs little, and memory is better spent on
// them. It returns a function that ends this.
func littleGarbage() (end func()) {
	before := debug.SetGCPercent(garbagePercent)
	return func() { debug.SetGCPercent(before) }
}

// readTokens reads and encodes a corpus, on all cores.
func (c *call) readTokens(names corpora, t *Tokenizer) (*Corpus, error) {
	c.noteHidden(names)
	text := need{"for the text", 0, "take less of it"}
	for _, name := range names {
		text.bytes += float64(sizeOf(name) * 0.5) // the tokens of a usual text
	}
	if err := mustFit(text); err != nil {
		return nil, err
	}
	corpus, err := ReadCorpus(names, c.stdin, t, c.reading("tokenizing"))
	newProgress(c.stderr, 0, 0).clear()
	if err == nil && c.counted > 0 && c.read != c.counted {
		err = fmt.Errorf("%s has changed while it was read: it had %d bytes of text for the vocabulary, then %d; begin again, or give -vocab", names.String(), c.counted, c.read)
	}
	if err == nil && corpus.Invalid > 0 {
		c.note("%s: %d bytes are not UTF-8 and were read as U+FFFD", names.String(), corpus.Invalid)
	}
	return corpus, err
}

// maxCounted is how many words are counted at most, a long one as several. Words that have
// come once until then are forgotten.
const maxCounted = 1 << 20

// counted is what a word counts for there.
func counted(word string) int { return 1 + len(word)/64 }

// countWords counts the words of a corpus, on all cores. Standard input is kept for
// the second reading.
func (c *call) countWords(names corpora, lowerCase bool) (map[string]int, error) {
	c.noteHidden(names)
	if slices.Contains(names, "-") {
		kept, err := readParts(c.stdin)
		if err != nil {
			return nil, wrap("standard input", err)
		}
		c.stdin = kept()
		defer func() { c.stdin = kept() }()
	}
	counts, size, sum, progress := map[string]int{}, 0, 0, c.reading("counting words")
	for _, name := range names {
		err := eachFile(name, c.stdin, func(r io.Reader) error {
			read, _, err := ReadBlocks(r, func(blocks []Block, read int) {
				size = addCounts(counts, size, blocks, lowerCase)
				progress(sum + read)
			})
			sum += read
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	newProgress(c.stderr, 0, 0).clear()
	c.counted = c.read
	return counts, nil
}

// readParts reads all of r into parts, which are not copied as they become more, and returns
// a function that makes a reader of them.
func readParts(r io.Reader) (kept func() io.Reader, err error) {
	var parts [][]byte
	for err == nil {
		part, n := make([]byte, 1<<20), 0
		n, err = io.ReadFull(r, part)
		parts = append(parts, part[:n])
	}
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		err = nil
	}
	return func() io.Reader {
		var readers []io.Reader
		for _, part := range parts {
			readers = append(readers, bytes.NewReader(part))
		}
		return io.MultiReader(readers...)
	}, err
}

// addCounts adds the words of some blocks to counts, and returns what all count for then.
func addCounts(counts map[string]int, size int, blocks []Block, lowerCase bool) int {
	var lines []string
	for _, b := range blocks {
		lines = append(lines, b.lines...)
	}
	for word, n := range CountWords(lines, lowerCase) {
		if counts[word] == 0 {
			size += counted(word)
		}
		counts[word] += n
	}
	for rare := 1; size > maxCounted; rare++ {
		for word, n := range counts {
			if n <= rare {
				size -= counted(word)
				delete(counts, word)
			}
		}
	}
	return size
}

// tokenizerFlags are -model and -vocab, one of which a command needs.
func (c *call) tokenizerFlags() func() (*Tokenizer, error) {
	model := c.flags.String("model", "", "model folder `DIR`")
	vocab := c.flags.String("vocab", "", "vocabulary `FILE` instead")
	cased := c.flags.Bool("cased", false, "with -vocab: keep case and accents")
	return func() (t *Tokenizer, err error) {
		switch {
		case (*model == "") == (*vocab == ""):
			return nil, usagef("want either -model or -vocab")
		case *model != "":
			t, err = LoadTokenizer(*model)
			err = checkpointsInstead(*model, err)
		default:
			t, err = LoadVocabulary(*vocab, !*cased)
			c.noteCapitals(*vocab, t)
		}
		c.noteVocabulary(nil, t)
		return t, err
	}
}

// noteCapitals says that a vocabulary looks like one for text that keeps its case, where it is
// used for one that does not. (A tokenizer.json says itself what it is for.)
func (c *call) noteCapitals(file string, t *Tokenizer) {
	if t == nil || !t.LowerCase || strings.EqualFold(filepath.Ext(file), ".json") {
		return
	}
	capitals := 0
	for _, word := range t.Vocabulary {
		letters := strings.TrimPrefix(word, continuing) // as [UNK] and <S> are not
		if strings.ToLower(word) != word && !strings.ContainsFunc(letters, func(r rune) bool { return !unicode.IsLetter(r) }) {
			capitals++
		}
	}
	if capitals > 0 {
		c.note("%s has %d words with capitals, which text in lower case never gives: -cased?", file, capitals)
	}
}
