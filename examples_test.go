package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// smallCorpus has three documents: of many sentences, of two, and of one.
func smallCorpus(t testing.TB) (*Corpus, *Tokenizer) {
	t.Helper()
	text := &plainText{Documents: [][]string{nil, {"c c c", "d"}, {"e e"}}}
	for i := range 40 {
		text.Documents[0] = append(text.Documents[0], strings.Repeat("a b ", i%5+1))
	}
	tokenizer, err := NewTokenizer(append(specialTokens[:5:5], strings.Fields("a b c d e")...), true)
	check(t, err)
	corpus, err := corpusOf(text, tokenizer)
	check(t, err)
	return corpus, tokenizer
}

// Over some epochs every sentence of every document comes up, as A or as B, and a
// document of one sentence is never followed by itself.
func TestEverySentenceComesUp(t *testing.T) {
	corpus, _ := smallCorpus(t)
	seen := map[int]bool{}
	for epoch := range uint64(20) {
		for _, p := range corpus.Pairs(corpus.AllDocuments(), 30, 0.1, 1, epoch) {
			for _, span := range [][2]int{p.a, p.b} {
				if span[0] >= span[1] {
					t.Fatalf("%+v has an empty part", p)
				}
				for s := span[0]; s < span[1]; s++ {
					seen[s] = true
				}
			}
			if last := corpus.sentences.Len() - 2; p.a[0] == last && p.isNext {
				t.Errorf("%+v: the only sentence of its document is followed by the next", p)
			}
		}
	}
	equal(t, len(seen), corpus.sentences.Len()-1)
}

// The same seed gives the same examples, from the beginning or from the middle of
// an epoch; another seed, or another epoch, gives others.
func TestExamplesAreAFunctionOfTheSeed(t *testing.T) {
	corpus, tokenizer := smallCorpus(t)
	stream := func(seed uint64) *Stream {
		s := NewStream(corpus, tokenizer, corpus.AllDocuments(), 20, seed)
		s.ShortSeqProb = 0.1
		return s
	}
	epochs := func(seed uint64) (first, second []Example) {
		s := stream(seed)
		return slices.Collect(s.Epoch(1)), slices.Collect(s.Epoch(2))
	}
	first, second := epochs(1)
	again, _ := epochs(1)
	other, _ := epochs(2)
	equal(t, again, first)
	middle, part := stream(1), make([]Example, len(first)-6)
	middle.Load(1)
	middle.fill(part, 5) // to the last but one
	equal(t, part, first[5:len(first)-1])
	for _, examples := range [][]Example{second, other} {
		if slices.EqualFunc(first, examples, func(a, b Example) bool { return slices.Equal(a.Tokens, b.Tokens) }) {
			t.Error("another epoch or seed gives the same examples")
		}
	}
}

// Counted over 100,000 examples: 15% of the tokens are to be guessed, within 0.1, of
// these 80, 10 and 10% are masked, replaced and left, within 0.5; half of the pairs are
// neighbours, within 0.5; [CLS] and [SEP] are never masked; a false B is never from the
// same document; and over the epochs every sentence comes up. With whole words it is
// the same, and hardly a word is masked in part.
func TestHundredThousandExamples(t *testing.T) {
	trainer, tokenizer := demoTrainer(t)
	source := trainer.Source.(*CorpusSource)
	corpus := source.Corpus
	documentOf := make([]int, corpus.sentences.Len()-1)
	for d := range len(corpus.documents) - 1 {
		for s := corpus.documents[d]; s < corpus.documents[d+1]; s++ {
			documentOf[s] = d
		}
	}
	for _, whole := range []bool{false, true} {
		source.WholeWords, source.MaxTokens, source.ShortSeqProb = whole, 128, 0.1
		source.Documents = corpus.AllDocuments()
		seen := make([]bool, corpus.sentences.Len()-1)
		var n, next, tokens, guessed, masked, replaced, parts int
		for epoch := uint64(1); n < 100_000; epoch++ {
			source.Load(epoch)
			examples := make([]Example, len(source.pairs))
			source.fill(examples, 0)
			for i, e := range examples {
				p := source.pairs[i]
				for s := p.a[0]; s < p.a[1]; s++ {
					seen[s] = true
				}
				for s := p.b[0]; s < p.b[1]; s++ {
					seen[s] = true
				}
				n++
				tokens += len(e.Tokens)
				guessed += len(e.Targets)
				if e.NextLabel == 0 {
					next++
				} else if documentOf[p.a[0]] == documentOf[p.b[0]] {
					t.Fatalf("the false B of %+v is from the same document", p)
				}
				whole := slices.Clone(e.Tokens) // the text again
				hidden := make([]bool, len(whole))
				for k, at := range e.Targets {
					if e.Labels[k] == tokenizer.cls || e.Labels[k] == tokenizer.sep {
						t.Fatalf("%s is to be guessed", tokenizer.Vocabulary[e.Labels[k]])
					}
					switch e.Tokens[at] {
					case tokenizer.mask:
						masked++
					case e.Labels[k]:
					default:
						replaced++
					}
					whole[at], hidden[at] = e.Labels[k], true
				}
				for at := 1; at < len(whole); at++ {
					if strings.HasPrefix(tokenizer.Vocabulary[whole[at]], continuing) && hidden[at] != hidden[at-1] && whole[at-1] != tokenizer.cls && whole[at-1] != tokenizer.sep {
						parts++
					}
				}
			}
		}
		for _, c := range []struct {
			what         string
			n, of        int
			want, within float64
		}{
			{"to be guessed", guessed, tokens, 0.15, 0.001},
			{"masked", masked, guessed, 0.8, 0.005},
			{"replaced", replaced, guessed, 0.1, 0.005},
			{"left", guessed - masked - replaced, guessed, 0.1, 0.005},
			{"true pairs", next, n, 0.5, 0.005},
		} {
			share := float64(c.n) / float64(c.of)
			t.Logf("whole words %v: %s %.3f%%", whole, c.what, 100*share)
			if math.Abs(share-c.want) > c.within {
				t.Errorf("whole words %v: %s: %d of %d, %.4f, want %v ± %v", whole, c.what, c.n, c.of, share, c.want, c.within)
			}
		}
		if i := slices.Index(seen, false); i >= 0 {
			t.Errorf("sentence %d of %d never comes up", i, len(seen))
		}
		if whole && parts > n/1000 || !whole && parts == 0 {
			t.Errorf("whole words %v: %d words are masked in part", whole, parts)
		}
	}
}

// Every token of a corpus comes up, and not seldom: however long its sentence is,
// wherever it stands there, and for however few tokens there is room. In 100 epochs
// it is to come up 10 times.
func TestEveryTokenComesUp(t *testing.T) {
	const epochs, often = 100, 10
	words := specialTokens[:5:5]
	text := &plainText{}
	for _, lengths := range [][]int{
		{3, 9, 1, 200, 5, 12, 7}, {70, 10, 64, 2}, {10, 12, 9, 7, 14, 11, 8, 1000, 10, 6, 13, 10, 9, 11, 10}, {30, 1}, {150}, {1}, {6, 6},
	} {
		var document []string
		for _, n := range lengths {
			var sentence strings.Builder
			for range n { // each its own word
				word := fmt.Sprint("w", len(words))
				words = append(words, word)
				sentence.WriteString(word + " ")
			}
			document = append(document, sentence.String())
		}
		text.Documents = append(text.Documents, document)
	}
	tokenizer, err := NewTokenizer(words, true)
	check(t, err)
	corpus, err := corpusOf(text, tokenizer)
	check(t, err)
	for _, maxTokens := range []int{minSeq, 8, 16, 24, 75, 128, 512} {
		s := NewStream(corpus, tokenizer, corpus.AllDocuments(), maxTokens, 1)
		s.ShortSeqProb = 0.1
		seen := make([]int, len(words))
		for epoch := range uint64(epochs) {
			for e := range s.Epoch(epoch + 1) {
				if len(e.Tokens) > maxTokens {
					t.Fatalf("an example has %d tokens, want at most %d", len(e.Tokens), maxTokens)
				}
				for i, at := range e.Targets {
					e.Tokens[at] = e.Labels[i]
				}
				for _, id := range e.Tokens {
					seen[id]++
				}
			}
		}
		ordinary := seen[len(specialTokens):]
		least := slices.Min(ordinary)
		t.Logf("of at most %d tokens: the one that comes up least does so %d times in %d epochs", maxTokens, least, epochs)
		if i := slices.Index(ordinary, least); least < often {
			s := corpus.SentenceOf(i, 0, corpus.sentences.Len()-1)
			t.Errorf("with %d tokens at most, token %d of a sentence of %d comes up %d times in %d epochs, want %d",
				maxTokens, i-corpus.sentences.At(s)+1, corpus.Size(s, s+1), least, epochs, often)
		}
	}
}

// An excerpt has as many tokens as it should, in a row, and none of them seldom.
func TestExcerpt(t *testing.T) {
	const draws = 4000
	r := random(1, forMasks)
	tokens := make([]int32, 20)
	for i := range tokens {
		tokens[i] = int32(i)
	}
	for n := 1; n <= len(tokens); n++ {
		for keep := 1; keep <= n; keep++ {
			seen := make([]int, n)
			for range draws {
				at := excerptAt(n, keep, r)
				part := tokens[at : at+keep]
				if len(part) != keep || part[keep-1]-part[0] != int32(keep-1) {
					t.Fatalf("an excerpt of %d of %d tokens is %v", keep, n, part)
				}
				for _, i := range part {
					seen[i]++
				}
			}
			if want := draws * keep / (n + keep - 1); slices.Min(seen) < want*7/10 {
				t.Errorf("in %d excerpts of %d of %d tokens they come up %v times, want about %d or more", draws, keep, n, seen, want)
			}
		}
	}
}

// Of a pair that is too long as much is kept as in the original, which takes one
// token after another from the longer part, and from B where they are equally long.
func TestLongestFirst(t *testing.T) {
	for a := range 20 {
		for b := range 20 {
			for room := range 30 {
				wantA, wantB := a, b
				for wantA+wantB > room {
					if wantA > wantB {
						wantA--
					} else {
						wantB--
					}
				}
				if keepA, keepB := LongestFirst(a, b, room); keepA != wantA || keepB != wantB {
					t.Errorf("of %d and %d tokens with room for %d it keeps %d and %d, want %d and %d", a, b, room, keepA, keepB, wantA, wantB)
				}
			}
		}
	}
}
