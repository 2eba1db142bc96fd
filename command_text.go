package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// The commands about text: vocab learns a vocabulary, tokenize shows the tokens, examples
// the pre-training examples.

func vocab(c *call) error {
	corpus := c.flags.String("corpus", "", "text `FILE`, folder, or - for standard input")
	settings := DefaultVocabularySettings(8000)
	c.flags.IntVar(&settings.Size, "size", settings.Size, "most words in the vocabulary")
	c.flags.IntVar(&settings.MinFrequency, "min-frequency", settings.MinFrequency, "how often two pieces have to stand side by side to be joined")
	c.flags.IntVar(&settings.Alphabet, "alphabet", settings.Alphabet, "most letters; words are spelled without the rarest")
	score := c.flags.String("score", "count", "what says which pair is joined: count, or likelihood")
	show := c.flags.Int("show", 0, "write a table of the first `N` pairs that are joined, and how often each came up")
	out := c.flags.String("out", "", "`FILE` to write, a word a line; with -show it may be left out")
	cased := c.flags.Bool("cased", false, "keep case and accents")
	if err := c.parse(0, "corpus"); err != nil {
		return err
	}
	settings.Likelihood = *score == "likelihood"
	switch {
	case *score != "count" && *score != "likelihood":
		return usagef("-score is %q, want count or likelihood", *score)
	case settings.Size < 1 || settings.Size > maxVocabulary:
		return usagef("-size is %d, want 1 to %d", settings.Size, maxVocabulary)
	case settings.MinFrequency < 1:
		return usagef("-min-frequency is %d, want 1 or more", settings.MinFrequency)
	case settings.Alphabet < 1:
		return usagef("-alphabet is %d, want 1 or more", settings.Alphabet)
	case *show < 0:
		return usagef("-show is %d, want 1 or more", *show)
	case *out == "" && *show == 0:
		return usagef("-out is missing; -show would do, too")
	}
	if err := mustNotExist(*out); err != nil {
		return err
	}
	counts, err := c.countWords(corpora{*corpus}, !*cased)
	if err != nil {
		return err
	}
	table, joins := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0), 0
	settings.OnJoin = func(left, right, joined string, n int) {
		if joins++; joins <= *show {
			fmt.Fprintf(table, "%6d\t%s %s\t→ %s\t%d times\n", joins, left, right, joined, n)
		}
	}
	words, err := settings.Train(counts)
	if err != nil {
		return wrap(*corpus, err)
	}
	if *out != "" { // first, in case nobody reads the table to its end
		if err := writeFile(*out, func(w io.Writer) error { return WriteVocabulary(w, words) }); err != nil {
			return err
		}
	}
	if joins == 0 {
		c.note("%s: no two pieces are joined: none stand side by side %d times, or -size is too small", *corpus, settings.MinFrequency)
	}
	return table.Flush()
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
			out.WriteString(t.Vocabulary[id])
		}
	}
	ends := " .,;:!?-/"
	if len(t.added) > 0 { // which may have marks in them
		ends = " "
	}
	err = eachPart(c.stdin, ends, func(part string, at int) error {
		c.countInvalid(part)
		text, isEnd := strings.CutSuffix(part, "\n")
		if *offsets {
			found, spans := t.EncodeSpans(text)
			for i, id := range found {
				write(id)
				fmt.Fprintf(out, ":%d-%d", at+spans[i].Begin, at+spans[i].End)
			}
		} else {
			for _, id := range t.Encode(text) {
				write(id)
			}
		}
		if isEnd {
			out.WriteString("\n")
			separator = ""
		}
		_, err := out.Write(nil) // whether it could write all that
		return err
	})
	return errors.Join(err, out.Flush())
}

// eachPart calls use for the lines of r, one after the other. A long line comes in
// parts that end after a space or another of ends, so that the tokens are the same, and the
// memory that is needed grows with the longest word but not with the line. at is where in
// its line a part begins. The last line need not end.
func eachPart(r io.Reader, ends string, use func(part string, at int) error) error {
	text, err := asUTF8(r)
	if err != nil {
		return wrap("standard input", err)
	}
	in := bufio.NewReaderSize(text, 1<<16)
	var rest []byte // of the line, not used yet
	at := 0
	for {
		var used error
		piece, err := in.ReadSlice('\n')
		end := bytes.LastIndexAny(piece, ends)
		cut := len(rest) + end + 1
		rest = append(rest, piece...)
		switch {
		case err == nil || err == io.EOF && at+len(rest) > 0:
			used = use(strings.TrimSuffix(string(rest), "\n")+"\n", at)
			rest, at = rest[:0], 0
		case err == bufio.ErrBufferFull && end >= 0:
			used = use(string(rest[:cut]), at)
			rest, at = append(rest[:0], rest[cut:]...), at+cut
		}
		if used != nil || err != nil && err != bufio.ErrBufferFull {
			return cmp.Or(used, wrap("standard input", ignoreEOF(err)))
		}
	}
}

func examples(c *call) error {
	defer littleGarbage()()
	names := c.corpusFlag()
	tokenizer := c.tokenizerFlags()
	maxSeq := c.flags.Int("max-seq", 128, "most tokens of an example")
	shortSeqProb := c.flags.Float64("short-seq-prob", DefaultSettings().ShortSeqProb, "share of pairs that are shorter")
	wholeWords := c.flags.Bool("whole-words", false, "mask whole words, not pieces of them")
	seed := c.flags.Uint64("seed", 1, "seed of pairs and masks, and of which documents are held out")
	split := c.flags.String("split", "all", "which documents: all, train (what pretrain trains on), or heldout")
	labels := c.flags.Bool("labels", false, "write what Hugging Face's models take: attention_mask, and labels for all tokens (-100: not to be guessed)")
	if err := c.parse(0, "corpus"); err != nil {
		return err
	}
	switch {
	case *maxSeq < minSeq:
		return usagef("-max-seq is %d, want %d or more", *maxSeq, minSeq)
	case *split != "all" && *split != "train" && *split != "heldout":
		return usagef("-split is %q, want all, train or heldout", *split)
	case !isShare(*shortSeqProb):
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
	train, heldOut := text.Split(*seed)
	documents := text.AllDocuments()
	switch {
	case *split == "train":
		documents = train
	case *split == "heldout" && len(heldOut) == 0:
		return fmt.Errorf("%s: there are %d documents, too few to hold some out", names.String(), len(documents))
	case *split == "heldout":
		documents = heldOut
	case len(heldOut) > 0:
		c.note("%d documents, also the %d that pretrain -seed %d holds out (-split train leaves them out)", len(documents), len(heldOut), *seed)
	}
	stream := NewStream(text, t, documents, *maxSeq, *seed)
	stream.ShortSeqProb, stream.WholeWords = *shortSeqProb, *wholeWords
	out := bufio.NewWriter(c.stdout)
	return errors.Join(WriteExamples(out, stream.Epoch(1), t, *labels), out.Flush())
}
