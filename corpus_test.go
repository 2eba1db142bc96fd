package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A corpus is a file, a compressed file, all files of a folder, or standard input.
func TestReadCorpus(t *testing.T) {
	dir := t.TempDir()
	check(t, os.Mkdir(filepath.Join(dir, "b"), 0o777))
	check(t, os.WriteFile(filepath.Join(dir, "a.txt"), []byte("One a.\nTwo a."), 0o666))
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	w.Write([]byte("One b.\n"))
	check(t, w.Close())
	check(t, os.WriteFile(filepath.Join(dir, "b", "b.txt.gz"), compressed.Bytes(), 0o666))

	tokenizer, err := NewTokenizer(append(specialTokens[:5:5], strings.Fields("one two standard input a b .")...), true)
	check(t, err)
	for name, want := range map[string]string{
		dir:                                 "one a . two a . // one b .",
		filepath.Join(dir, "a.txt"):         "one a . two a .",
		filepath.Join(dir, "b", "b.txt.gz"): "one b .",
		"-":                                 "standard input .",
	} {
		second := filepath.Join(dir, "b") // a corpus has two documents or more
		corpus, err := ReadCorpus([]string{name, second}, strings.NewReader("Standard input."), tokenizer, func(int) {})
		check(t, err)
		var documents []string
		for d := range len(corpus.documents) - 2 {
			documents = append(documents, strings.Join(tokenizer.Tokens(corpus.Tokens(corpus.sentences.At(corpus.documents[d]), corpus.sentences.At(corpus.documents[d+1]))), " "))
		}
		equal(t, strings.Join(documents, " // "), want)
	}
	check(t, os.WriteFile(filepath.Join(dir, "bad.gz"), []byte("not compressed"), 0o666))
	if _, err := ReadCorpus([]string{dir}, nil, tokenizer, func(int) {}); err == nil || !strings.Contains(err.Error(), "bad.gz") {
		t.Errorf("the error is %v, want one that names bad.gz", err)
	}
}

// The built-in texts are clean: a sentence a line, none twice, plain ASCII, and no
// sentence of the task in the corpus.
func TestBuiltInTexts(t *testing.T) {
	seen := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(string(corpusText)), "\n") {
		if line == "" {
			continue
		}
		if seen[line] {
			t.Errorf("%q stands there twice", line)
		}
		seen[line] = true
		if got := splitSentences(line); len(got) != 1 || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q is not one sentence in ASCII", line)
		}
	}
	for _, question := range append(demoQuestions, demoMasked) {
		before, after, _ := strings.Cut(question, "[MASK]")
		for line := range seen {
			answer, ok := strings.CutPrefix(line, before)
			if answer, ok2 := strings.CutSuffix(answer, after); ok && ok2 && !strings.Contains(answer, " ") {
				t.Errorf("the corpus has the answer to %q: %q", question, line)
			}
		}
	}
	topics := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(string(taskText)), "\n") {
		topic, sentence, ok := strings.Cut(line, "\t")
		if !ok || seen[sentence] {
			t.Errorf("task.tsv: %q has no tab, or stands in the corpus", line)
		}
		topics[topic]++
	}
	for topic, n := range topics {
		if n != 24 {
			t.Errorf("task.tsv has %d sentences on %s, want 24", n, topic)
		}
	}
	equal(t, len(topics), 8)
}

// bigText is made-up text of about size bytes: documents of sentences, a sentence
// a line, of some ten thousand words that are as unevenly common as in a language.
type bigText struct {
	size, made int
	r          *rand.Rand
	words      *rand.Zipf
	rest       []byte
}

func newBigText(size int) *bigText {
	r := rand.New(rand.NewPCG(1, 1))
	return &bigText{size: size, r: r, words: rand.NewZipf(r, 1.1, 20, 60_000)}
}

func (b *bigText) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		if b.made >= b.size {
			return 0, io.EOF
		}
		b.rest = b.document(b.rest)
		b.made += len(b.rest)
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *bigText) document(text []byte) []byte {
	const syllables = "babebibobudadedidodukakekikokulalelilolumamememomunaneninonuraremiru"
	for range 5 + b.r.IntN(30) {
		for range 5 + b.r.IntN(20) {
			for word := b.words.Uint64() + 3; word > 0; word /= 33 {
				at := word % 33 * 2
				text = append(text, syllables[at:at+2]...)
			}
			text = append(text, ' ')
		}
		text = append(text[:len(text)-1], ".\n"...)
	}
	return append(text, '\n')
}

// A text that is read part by part is the corpus that it is as a whole: in lines,
// in prose, without a line break, and in a vocabulary that needs four bytes.
func TestReadCorpusIsReadText(t *testing.T) {
	lines, err := io.ReadAll(newBigText(1200 << 10))
	check(t, err)
	prose := strings.Join(strings.SplitAfter(strings.ReplaceAll(strings.ReplaceAll(string(lines), ".\n", ". "), " ba", "\nba"), ". "), "")
	words := append(specialTokens[:5:5], strings.Fields("a b d e i o u ba ##ba ##b ##d ##k ##l ##m ##n ##r ##a ##e ##i ##o ##u .")...)
	wide := slices.Clone(words)
	for len(wide) < 1<<16 {
		wide = append(wide, fmt.Sprint("unused", len(wide)))
	}
	wide = append(wide, "k", "l", "m", "n", "r", "##bo")
	for _, c := range []struct {
		name, text string
		words      []string
	}{
		{"lines", string(lines), words},
		{"lines, four bytes", string(lines[:1<<17]), wide},
		{"prose", prose, words},
		{"no blank line", strings.ReplaceAll(string(lines), "\n\n", "\n"), words},
		{"one line", strings.ReplaceAll(string(lines), "\n", " "), words},
	} {
		tokenizer, err := NewTokenizer(c.words, true)
		check(t, err)
		text, err := readText(strings.NewReader(c.text))
		check(t, err)
		name := filepath.Join(t.TempDir(), "text")
		check(t, os.WriteFile(name, []byte(c.text), 0o666))
		other := filepath.Join(t.TempDir(), "other")
		check(t, os.WriteFile(other, []byte("Another.\n\nAnd one.\n"), 0o666))
		text.Documents = append(text.Documents, []string{"Another."}, []string{"And one."})
		want, err := corpusOf(text, tokenizer)
		check(t, err)
		read := 0
		got, err := ReadCorpus([]string{name, other}, nil, tokenizer, func(bytes int) { read = bytes })
		check(t, err)
		if got.Sum() != want.Sum() || got.Unknown != want.Unknown {
			t.Errorf("%s: the corpus is another one: %d and %d tokens", c.name, got.low.Len(), want.low.Len())
		}
		equal(t, read, len(c.text)+len("Another.\n\nAnd one.\n"))
		i := 0
		for _, d := range text.Documents[:2] {
			for _, s := range d {
				for _, id := range tokenizer.Encode(s) {
					equal(t, got.Token(i), id)
					i++
				}
			}
		}
	}
}

// A corpus takes little more memory than two bytes a token.
func TestCorpusIsSmall(t *testing.T) {
	words, err := TrainVocabulary(CountWords(mustReadText(t, newBigText(1<<20)).lines(), true), 2000)
	check(t, err)
	tokenizer, err := NewTokenizer(words, true)
	check(t, err)
	data, err := io.ReadAll(newBigText(4 << 20))
	check(t, err)
	name := filepath.Join(t.TempDir(), "text")
	check(t, os.WriteFile(name, data, 0o666))
	memory := func() int {
		runtime.GC()
		runtime.GC() // a sync.Pool keeps what it has through one collection
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := memory()
	corpus, err := ReadCorpus([]string{name}, nil, tokenizer, func(int) {})
	check(t, err)
	if used, tokens := memory()-before, corpus.low.Len(); used > 3*tokens {
		t.Errorf("%d bytes for %d tokens", used, tokens)
	} else {
		t.Logf("%.2f bytes a token, %d tokens in %d bytes of text", float64(used)/float64(tokens), tokens, len(data))
	}
	runtime.KeepAlive(corpus)
}

func mustReadText(t testing.TB, r io.Reader) *plainText {
	t.Helper()
	text, err := readText(r)
	check(t, err)
	return text
}

// BenchmarkReadCorpus is about a text of a size that is given in megabytes:
//
//	go test -run - -bench ReadCorpus -benchtime 1x . -args -megabytes 1000
var megabytes = flag.Int("megabytes", 16, "text of the benchmarks")

func BenchmarkReadCorpus(b *testing.B) {
	words, err := TrainVocabulary(CountWords(mustReadText(b, newBigText(1<<20)).lines(), true), 8000)
	check(b, err)
	tokenizer, err := NewTokenizer(words, true)
	check(b, err)
	b.SetBytes(int64(*megabytes) << 20)
	for b.Loop() {
		corpus, err := ReadCorpus([]string{"-"}, newBigText(*megabytes<<20), tokenizer, func(int) {})
		check(b, err)
		s := NewStream(corpus, tokenizer, corpus.AllDocuments(), 128, 1)
		begin := time.Now()
		s.Load(1)
		b.ReportMetric(time.Since(begin).Seconds(), "s/epoch's-pairs")
		list := make([]Example, min(32000, len(s.pairs)))
		begin = time.Now()
		s.fill(list, 0)
		b.ReportMetric(time.Since(begin).Seconds()/float64(len(list))*1e6, "µs/example")
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.Sys)/1e6, "MB")
		b.ReportMetric(100*shareOfExamples(b, corpus, tokenizer), "%-of-a-step")
	}
}

// shareOfExamples is how much of a step of BERT-Tiny goes into making its examples.
func shareOfExamples(b *testing.B, corpus *Corpus, tokenizer *Tokenizer) float64 {
	c := DefaultConfig()
	c.VocabSize = len(tokenizer.Vocabulary)
	c.SetSize(sizes["tiny"])
	m, err := NewModel(c, 1)
	check(b, err)
	s := DefaultSettings()
	s.Complete()
	trainer := &Trainer{Model: m, Settings: s, optimizer: NewAdamW(&m.Parameters, &s)}
	check(b, trainer.UseCorpus(corpus, tokenizer))
	source := &timedSource{Source: trainer.Source}
	trainer.Source.Fill(&Batch{}, s.Batch, 0) // which makes the pairs of the epoch
	trainer.Source = source
	begin := time.Now()
	for range 10 {
		_, _, err := trainer.Step(0)
		check(b, err)
	}
	return source.time.Seconds() / time.Since(begin).Seconds()
}

type timedSource struct {
	Source
	time time.Duration
}

func (s *timedSource) Fill(b *Batch, n, step int) {
	begin := time.Now()
	s.Source.Fill(b, n, step)
	s.time += time.Since(begin)
}
