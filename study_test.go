package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// topicWords are the words of four topics. Which belong together, only the text
// says.
func topicWords() (topics [4][]string) {
	for i := range topics {
		for j := range 60 {
			topics[i] = append(topics[i], fmt.Sprintf("%c%d", 'a'+i, j))
		}
	}
	return topics
}

// topicSentence is five words of a topic.
func topicSentence(topic []string, seed, index uint64) string {
	words := slices.Clone(topic)
	random(seed, forPairs, index).Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	return strings.Join(words[:5], " ")
}

// Step 8: pre-training pays. A model that has read sentences of four topics, which nobody
// has labelled, learns to tell the topics from a label each. Neither one that has read
// nothing does so, nor a bag of words: the sentences that are tested on have mostly other
// words.
func TestStep8Transfer(t *testing.T) {
	topics := topicWords()
	text := &plainText{}
	words := slices.Clone(specialTokens)
	for i, topic := range topics {
		words = append(words, topic...)
		for d := range uint64(10) {
			var document []string
			for k := range uint64(12) {
				document = append(document, topicSentence(topic, 1, uint64(i)<<16|d<<8|k))
			}
			text.Documents = append(text.Documents, document)
		}
	}
	tokenizer, err := NewTokenizer(words, true)
	check(t, err)
	c := smallModel(t).Config
	c.VocabSize, c.HiddenSize, c.NumHiddenLayers, c.NumAttentionHeads, c.IntermediateSize = len(words), 16, 1, 2, 32
	m, err := NewModel(c, 1)
	check(t, err)
	trainer := &Trainer{Model: m, Settings: DefaultSettings()}
	s := &trainer.Settings
	s.Steps, s.Batch, s.MaxSeq, s.LearningRate, s.Seed = 500, 16, 24, 1e-2, 1
	s.Complete()
	check(t, useCorpus(trainer, text, tokenizer))
	check(t, trainer.Train(t.Context()))

	study := &Study{Pretrained: m, Config: asClassifier(c, "a", "b", "c", "d"), Settings: TuneSettings(), Epochs: 20, Seeds: 3}
	study.Settings.LearningRate = 1e-2
	for i, topic := range topics {
		for k := range uint64(20) {
			ids, segments, _ := tokenizer.Sequence(topicSentence(topic, 2, uint64(i)<<8|k), "", 24)
			study.Cases = append(study.Cases, Case{Tokens: ids, Segments: segments, Labels: []int32{int32(i)}})
		}
	}
	check(t, study.Check())
	var rows []StudyRow
	check(t, study.Run(func(r StudyRow) error {
		rows = append(rows, r)
		t.Log(r)
		return nil
	}))
	equal(t, len(rows), len(studySizes))
	one, all := rows[0].Score, rows[4].Score // labels a class
	for _, way := range ways {
		pretrained := way == frozen || way == fineTuned
		if pretrained && one[way].Mean < 0.9 || !pretrained && one[way].Mean > 0.6 {
			t.Errorf("from a label a class, %s gets %.1f%% right, want 90%% or more with pre-training, 60%% or less without", way, 100*one[way].Mean)
		}
		if pretrained && all[way].Mean < 0.95 {
			t.Errorf("from all labels, %s gets %.1f%% right, want 95%% or more", way, 100*all[way].Mean)
		}
	}
	equal(t, rows[4].Labels, 0)
}

// No sentence is trained and tested on; the ones tested on are the same for any
// number of labels; each label has as many as the row says.
func TestStudySplit(t *testing.T) {
	study := &Study{Config: asClassifier(smallModel(t).Config, "a", "b")}
	for i := range int32(30) {
		study.Cases = append(study.Cases, Case{Tokens: []int32{i}, Labels: []int32{i % 2}})
	}
	_, want := study.split(0, 3)
	equal(t, len(want), 14)
	for _, size := range []int{1, 2, 4, 8, 0} {
		training, test := study.split(size, 3)
		equal(t, test, want)
		counts := [2]int{}
		for _, c := range training {
			counts[c.Labels[0]]++
			if slices.ContainsFunc(test, func(d Case) bool { return d.Tokens[0] == c.Tokens[0] }) {
				t.Errorf("%v is trained and tested on", c)
			}
		}
		if size == 0 {
			size = 8
		}
		equal(t, counts, [2]int{size, size})
	}
	_, other := study.split(0, 4)
	if fmt.Sprint(other) == fmt.Sprint(want) {
		t.Error("another seed tests on the same")
	}
	study.Test = want
	training, test := study.split(0, 3)
	equal(t, test, want)
	equal(t, len(training), 30)

	equal(t, meanSpread([]float64{1, 2, 3, 4}), MeanSpread{2.5, math.Sqrt(5.0 / 3)})
	study.Test, study.Cases = nil, study.Cases[:3]
	if err := study.Check(); err == nil || !strings.Contains(err.Error(), `the label "b" has 1 sentences`) {
		t.Errorf("with one sentence of a label the error is %v", err)
	}
}
