package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// mostHeap is the most memory that was in use while work ran, beyond what was before.
func mostHeap(work func()) (most int) {
	now := func() int {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	defer littleGarbage()()
	runtime.GC()
	runtime.GC()
	before, done, stopped := now(), make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				most = max(most, now()-before)
			}
		}
	}()
	work()
	close(done)
	<-stopped
	return most
}

// oddTexts are texts without what bounds the parts of others.
var oddTexts = map[string]string{
	"one line":                    "many words and never an end of a sentence ",
	"one line without a space":    "abcdefghij",
	"short lines in prose":        "word\nmore\n",
	"short lines":                 "A\n1\n",
	"lines without sentence ends": "Many words and never an end of a sentence\n",
	"empty lines":                 "\n",
	"sentences of one word":       "Words! ",
}

// Whatever the text, the corpus that it becomes takes little more than two bytes a token
// while it is read, and its words little while they are counted; and an example of it
// takes no longer than it is, however long the sentences are.
func TestOddTextIsRead(t *testing.T) {
	const size, constant = 16 << 20, 80 << 20
	tokenizer, err := NewTokenizer(append(specialTokens[:5:5], strings.Fields("many words and never an end of a sentence word more 1 - / , !")...), true)
	check(t, err)
	for name, piece := range oddTexts {
		text := strings.Repeat(piece, size/len(piece))
		file := filepath.Join(t.TempDir(), "text")
		check(t, os.WriteFile(file, []byte(text+"\n"), 0o666))
		other := filepath.Join(t.TempDir(), "other")
		check(t, os.WriteFile(other, []byte("Another.\n\nAnd one.\n"), 0o666))
		var corpus *Corpus
		if used := mostHeap(func() {
			corpus, err = ReadCorpus([]string{file, other}, nil, tokenizer, func(int) {})
		}); err != nil || used > 2*len(text)+constant {
			t.Errorf("%s: %d MB to read %d MB of text, %v", name, used>>20, len(text)>>20, err)
		} else {
			t.Logf("%s: %d MB to read", name, used>>20)
		}
		c := &call{stderr: &bytes.Buffer{}}
		if used := mostHeap(func() { _, err = c.countWords(corpora{file}, true) }); err != nil || used > constant {
			t.Errorf("%s: %d MB to count the words of %d MB of text, %v", name, used>>20, len(text)>>20, err)
		} else {
			t.Logf("%s: %d MB to count", name, used>>20)
		}
		var before, after runtime.MemStats
		s := NewStream(corpus, tokenizer, corpus.AllDocuments(), 128, 1)
		s.Load(1)
		list := make([]Example, min(len(s.pairs), 1000))
		runtime.ReadMemStats(&before)
		s.fill(list, 0)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > uint64(8<<10*len(list)+1<<20) {
			t.Errorf("%s: %d bytes to make %d examples", name, used, len(list))
		}
	}
}

// Text that is odd is cut where it is too long, and no word is lost or cut.
func TestOddTextIsWhole(t *testing.T) {
	var text strings.Builder
	for i := range 1 << 20 {
		fmt.Fprintf(&text, "w%d\n", i)
	}
	lines, sentences := 0, 0
	_, _, err := ReadBlocks(strings.NewReader(text.String()), func(blocks []Block, _ int) {
		for _, b := range blocks {
			if n := len(b.lines); n > longestBlock/lineCost {
				t.Errorf("a block has %d lines", n)
			}
			lines += len(b.lines)
			for _, s := range b.Sentences() {
				sentences++
				for range strings.Fields(s) {
					lines--
				}
			}
		}
	})
	check(t, err)
	equal(t, lines, 0)
	if sentences > 20 {
		t.Errorf("prose became %d sentences", sentences)
	}
}

// Numbers that rise are found again, whatever they rise by, and take little more than a bit for
// each up to the last.
func TestRising(t *testing.T) {
	var e rising
	r, want, n := random(1, forMasks), []int{}, 0
	for range 200_000 {
		want = append(want, n)
		e.append(n)
		n += 1 + r.IntN(1<<16)>>r.IntN(17)
	}
	equal(t, e.Len(), len(want))
	if bits := 64 * (e.words.Len() + e.before.Len()); bits > n+n/10 {
		t.Errorf("%d numbers up to %d take %d bits", len(want), n, bits)
	}
	for i, n := range want {
		if got := e.At(i); got != n {
			t.Fatalf("number %d is %d, want %d", i, got, n)
		}
	}
}

// Standard input is there for the second reading as for the first.
func TestReadParts(t *testing.T) {
	text := strings.Repeat("0123456789", 1<<18) + "end"
	kept, err := readParts(strings.NewReader(text))
	check(t, err)
	for range 2 {
		var got bytes.Buffer
		got.ReadFrom(kept())
		if got.String() != text {
			t.Errorf("%d bytes are not the %d that were read", got.Len(), len(text))
		}
	}
}

// The first tokens of a text are those of all of it, and the others are counted.
func TestFirstTokens(t *testing.T) {
	text := "playing [MASK] playplay. [SEP]playing x playing [MASK]"
	for _, added := range [][]AddedToken{nil, {{Content: "[MASK]"}}} {
		tokenizer, err := NewTokenizer(append(specialTokens[:5:5], "play", "##ing", "."), true)
		check(t, err)
		tokenizer.added = added
		all, places := tokenizer.EncodeSpans(text)
		equal(t, tokenizer.Encode(text), all)
		for most := range len(all) + 3 {
			n := min(most, len(all))
			ids, more := tokenizer.First(text, most)
			equal(t, append([]int32{}, ids...), append([]int32{}, all[:n]...))
			equal(t, more, len(all)-n)
			ids, spans, more := tokenizer.FirstSpans(text, most)
			equal(t, append([]int32{}, ids...), append([]int32{}, all[:n]...))
			equal(t, append([]Span{}, spans...), append([]Span{}, places[:n]...))
			equal(t, more, len(all)-n)
		}
	}
}

// A long line costs little more than itself, of whose tokens a model takes the first: as a
// sequence, with places for tags, and as it is written token by token, without a space too.
func TestLongLine(t *testing.T) {
	const size = 16 << 20
	dir := t.TempDir()
	name := filepath.Join(dir, "vocab.txt")
	check(t, os.WriteFile(name, []byte(strings.Join(append(specialTokens[:5:5], "a", "-"), "\n")), 0o666))
	tokenizer, err := LoadVocabulary(name, true)
	check(t, err)
	line := strings.Repeat("a-", size/2)
	for what, work := range map[string]func(){
		"a sequence":     func() { tokenizer.Sequence(line, line, 512) },
		"tags":           func() { FirstOfPassage(tokenizer, line, 510) },
		"tokens written": func() { tokenizeAll(t, line, "-vocab", name) },
		"places written": func() { tokenizeAll(t, line[:size/8], "-vocab", name, "-offsets") },
	} {
		if used := mostHeap(work); used > 40<<20 {
			t.Errorf("%s: %d MB for a line of %d MB", what, used>>20, size>>20)
		}
	}
}

// tokenizeAll throws away what tokenize writes.
func tokenizeAll(t *testing.T, text string, flags ...string) {
	if status := run(append([]string{"tokenize"}, flags...), strings.NewReader(text), io.Discard, io.Discard); status != exitDone {
		t.Errorf("exit status %d", status)
	}
}

// An answer's score is its share among all parts of all windows, which are not kept: the
// softmax of all scores is the same, and a long passage takes memory for its tokens alone.
func TestAnswerOfLongPassage(t *testing.T) {
	tokenizer := questionTokenizer(t)
	c := asAnswerer(smallModel(t).Config)
	c.VocabSize, c.HiddenSize, c.NumAttentionHeads, c.IntermediateSize, c.NumHiddenLayers, c.MaxPositionEmbeddings = len(tokenizer.Vocabulary), 4, 1, 4, 1, 64
	m, err := NewModel(c, 1)
	check(t, err)
	l := Limits{MaxSeq: 64, Overlap: 20, MaxAnswer: 30}
	q := Question{Passage: NewPassage(tokenizer, strings.Repeat("Who bakes? The baker of the town. ", 40)), ids: tokenizer.Encode("Who bakes?")}
	none, scores := float32(math.Inf(1)), []float32{}
	for w := range q.windows(tokenizer, l) {
		logits := m.LogitsOf([]Case{w.Case})[0]
		none = min(none, logits[0]+logits[1])
		for i := w.own.Begin; i < w.own.End; i++ {
			for j := i; j < min(i+l.MaxAnswer, w.part.End); j++ {
				at := w.first - w.part.Begin
				scores = append(scores, logits[2*(at+i)]+logits[2*(at+j)+1])
			}
		}
	}
	best := argmax(scores)
	scores = Softmax(append(scores, none), 1)
	a := m.Answer(tokenizer, &q, l, math.Inf(1))
	compare(t, "the score", []float32{a.Score, a.NoAnswer}, []float32{scores[best], scores[len(scores)-1]}, float64(min(a.Score, a.NoAnswer)), 1e-4, "by softmax")

	text := strings.Repeat("Who bakes? The baker of the town. ", 20_000)
	var tokens int
	used := mostHeap(func() {
		q.Passage = NewPassage(tokenizer, text)
		tokens = len(q.Passage.ids)
		m.Answer(tokenizer, &q, l, 0)
	})
	if used > 30*tokens+12<<20 {
		t.Errorf("%d bytes for a passage of %d tokens", used, tokens)
	}
}
