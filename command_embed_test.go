package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// embed writes the vector that -pool names or that a folder of sentence-transformers says, of
// length 1 where that is wanted, and refuses what it does not know there.
func TestPooling(t *testing.T) {
	model, _ := trained(t)
	const text = "The bread is warm and the sea is cold."
	embedding := func(args ...string) (e map[string][]float32) {
		t.Helper()
		status, stdout, stderr := runHere("", append([]string{"embed", "-model", model}, append(args, text)...)...)
		if status != exitDone {
			t.Fatalf("%v: exit status %d: %s", args, status, stderr)
		}
		check(t, json.Unmarshal([]byte(stdout), &e))
		return e
	}
	both := embedding()
	equal(t, embedding("-pool", "mean")["embedding"], both["mean"])
	equal(t, embedding("-pool", "pooled")["embedding"], both["pooled"])
	m, tokenizer, _, err := LoadModel(model)
	check(t, err)
	ids, segments, _ := tokenizer.Sequence(text, "", 64)
	equal(t, embedding("-pool", "cls")["embedding"], m.EncodeOne(ids, segments)[:m.Config.HiddenSize])
	unit, length := embedding("-pool", "mean", "-normalize")["embedding"], 0.0
	for i, v := range unit {
		length += float64(v) * float64(v)
		if got, want := float64(v)/float64(unit[0]), float64(both["mean"][i])/float64(both["mean"][0]); math.Abs(got-want) > 1e-3*math.Abs(want) {
			t.Errorf("number %d is %v times the first, want %v", i, got, want)
		}
	}
	if math.Abs(length-1) > 1e-5 {
		t.Errorf("the length is the root of %v", length)
	}

	check(t, os.Mkdir(filepath.Join(model, "1_Pooling"), 0o777))
	write := func(name, text string) { check(t, os.WriteFile(filepath.Join(model, name), []byte(text), 0o666)) }
	const modules = `[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
		{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
		{"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]`
	write("modules.json", modules)
	write("1_Pooling/config.json", `{"word_embedding_dimension": 32, "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}`)
	equal(t, embedding()["embedding"], unit)
	write("sentence_bert_config.json", `{"max_seq_length": 6, "do_lower_case": true}`)
	write("1_Pooling/config.json", `{"pooling_mode": "cls", "include_prompt": true}`)
	ids, segments, _ = tokenizer.Sequence(text, "", 6)
	cls := m.EncodeOne(ids, segments)[:m.Config.HiddenSize]
	got := embedding()["embedding"]
	equal(t, got[0]/got[1], cls[0]/cls[1])
	equal(t, embedding("-pool", "cls")["embedding"], cls) // of no more tokens either

	for _, c := range []struct{ file, text, want string }{
		{"1_Pooling/config.json", `{"pooling_mode_max_tokens": true, "pooling_mode_mean_tokens": true}`, `pooling_mode is ["max_tokens" "mean_tokens"], want mean or cls; -pool says what to do`},
		{"1_Pooling/config.json", `{"pooling_mode": "lasttoken"}`, `pooling_mode is ["lasttoken"]`},
		{"modules.json", strings.Replace(modules, "models.Normalize", "models.Dense", 1), `module 2 is sentence_transformers.models.Dense in "2_Normalize", which is not known here`},
		{"modules.json", strings.Replace(modules, `"1_Pooling"`, `"../1_Pooling"`, 1), `in "../1_Pooling", which is not known`},
		{"config_sentence_transformers.json", `{"default_prompt_name": "query"}`, `default_prompt_name is "query"`},
		{"sentence_bert_config.json", `{"max_seq_length": 3}`, "max_seq_length is 3, want 5 or more"},
		{"modules.json", `{`, "modules.json: it ends at byte 1"},
	} {
		before, _ := os.ReadFile(filepath.Join(model, c.file))
		write(c.file, c.text)
		status, stdout, stderr := runHere("", "embed", "-model", model, text)
		if status != exitFailed || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 || stdout != "" {
			t.Errorf("%s with %s: exit status %d, %q", c.file, c.text, status, stderr)
		}
		if !strings.Contains(c.want, "max_seq_length") {
			embedding("-pool", "mean") // does not ask
		}
		if before == nil {
			check(t, os.Remove(filepath.Join(model, c.file)))
		} else {
			write(c.file, string(before))
		}
	}
	for _, args := range [][]string{{"-pool", "max"}, {"-normalize"}} {
		status, _, _ := runHere("", append([]string{"embed", "-model", model}, append(args, text)...)...)
		equal(t, status, exitUsage)
	}
}
